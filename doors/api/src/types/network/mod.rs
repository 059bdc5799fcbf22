//! Networks on the wire: what is asked for, how networks are shown, and containers in them.

mod asked;
mod endpoint;
mod shown;

pub(crate) use asked::{ConnectBody, DisconnectBody, create_request, endpoints_asked, endpoints_named};
pub(crate) use endpoint::{Endpoint, Port, Settings, endpoints, names_of, ports};
pub(crate) use shown::{Filter, Shown};
