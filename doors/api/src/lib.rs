//! The Docker Engine API: types, routes, client.
