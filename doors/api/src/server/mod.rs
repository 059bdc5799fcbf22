//! HTTP as Docker's clients expect it, whatever the operation: versions, queries, bodies, streams, errors.
//!
//! In reading order: [`manners`] (what is answered before any handler), [`version`] (which API version is spoken), [`call`] (one request on its way to a
//! handler), [`query`], [`filters`], [`moment`], [`media_type`] and [`body`] (what a request says), [`answer`],
//! [`problem`], [`stream`] and [`threads`] (what is answered), [`hijack`], [`websocket`], [`framing`], [`wire`], [`hold`] and
//! [`barrier`] (connections that stop being HTTP), [`socket`] (the ways in), [`accept`] (the accept loop).

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod barrier;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod detach;
pub(crate) mod end;
pub(crate) mod filters;
pub(crate) mod framing;
mod gone;
pub(crate) mod hijack;
pub(crate) mod hold;
pub(crate) mod json;
pub(crate) mod manners;
mod media_type;
pub(crate) mod moment;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod socket;
pub(crate) mod stdcopy;
pub(crate) mod stream;
pub(crate) mod threads;
pub(crate) mod version;
pub(crate) mod websocket;
pub(crate) mod wire;

#[cfg(test)]
mod tests;
