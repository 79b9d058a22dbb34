//! The UDP tracker protocol: BEP 15, with the key in BEP 41's URL data.
//!
//! Bytes come in as a [`Request`], and the desk answers it into bytes. Whoever sends a packet may have written any
//! sender on it. So a client first asks for a [connection id](ConnectionIds), which reaches only the address that it
//! names, and nothing that is longer than what came goes to an address that hasn't shown such an id. The sockets are in
//! [`server`](crate::server).

mod announce;
mod connection_id;
mod desk;
mod request;
mod response;

pub use announce::AnnounceRequest;
pub use connection_id::{ConnectionIds, Standing};
pub(crate) use desk::{Desk, Done, Ignored};
pub use request::{Action, Junk, Request, SCRAPE_MAX};
pub(crate) use response::{REPLY_MAX, put_error};

/// What a client recognises the answer to its packet by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub [u8; 4]);
