//! A line whose lanes carry packed payloads.

use super::{Change, Inlet, Line};
use crate::bytes::Bytes;
use crate::flow::lane::LaneId;
use crate::flow::outbox::Outgoing;
use crate::proto::Packing;
use crate::time::Timestamp;
use crate::wire::packed::PLAIN;

impl Line {
    /// The payloads of a lane are packed.
    #[cfg(feature = "lz4")]
    pub(crate) fn set_packed(&self, alias: u32) {
        self.out.lock().outbox.set_packed(alias);
    }

    /// The largest payload the peer takes.
    #[cfg(feature = "lz4")]
    pub(crate) fn largest(&self) -> usize {
        self.out.lock().outbox.largest()
    }

    /// Sends a retained payload to a lane that has sent nothing yet, whether it is packed there or not.
    pub(crate) fn put_retained(&self, lane: LaneId, payload: &Bytes, sent: Timestamp) {
        if !self.out.lock().outbox.lane(lane.alias).is_some_and(|own| own.packed) {
            return self.put_first(lane, Outgoing { payload, shared: Some(payload) }, sent);
        }
        let packed = Bytes::from([&[PLAIN], &payload[..]].concat());
        self.put_first(lane, Outgoing { payload: &packed, shared: Some(&packed) }, sent);
    }
}

impl Change {
    /// Samples of an alias are for `inlet`.
    pub(crate) fn open(alias: u32, inlet: Inlet, packing: Packing) -> Self {
        #[cfg(feature = "lz4")]
        if packing != Packing::Plain {
            return Change::OpenPacked { alias, inlet, relayed: packing == Packing::Relayed };
        }
        debug_assert_eq!(packing, Packing::Plain, "nobody here asked for it");
        Change::Open(alias, inlet)
    }
}
