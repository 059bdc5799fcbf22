//! Our nouns, their legal moves, error kinds, and the ports by which rules reach the world.
