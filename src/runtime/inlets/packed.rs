//! Aliases whose payloads are packed.

use super::open::Open;
use super::{Head, Inlets, Origin, Slot};
use crate::bytes::{Buffer, Bytes, Pool};
use crate::event::LostAt;
use crate::flow::run::Run;
use crate::reason::Reason;
use crate::runtime::line::{Inlet, Line};
use crate::runtime::packing::{Unpacked, unpack};
use crate::time::Timestamp;
use std::sync::Arc;

/// An open alias whose payloads are packed.
pub(super) struct PackedOpen {
    pub(super) open: Open,
    /// Packed by somebody behind the peer: what is wrong with a payload is no fault of the peer.
    relayed: bool,
}

impl PackedOpen {
    pub(super) fn new(inlet: Inlet, relayed: bool) -> Self {
        Self { open: Open::new(inlet), relayed }
    }

    /// Takes in a payload that ends at `end` of the chunk; true if it is the first that is staged.
    pub(super) fn put(
        &mut self,
        alias: u32,
        sent: Timestamp,
        payload: &[u8],
        (chunk, end): (&Arc<Buffer>, usize),
        from: &From<'_>,
    ) -> Result<bool, Reason> {
        self.open.check_grant(alias)?;
        match self.unpack(alias, payload, from)? {
            Some(Unpacked::Plain) => {
                let payload = &payload[1..];
                let head = Head { sent, start: (end - payload.len()) as u32, end: end as u32 };
                Ok(self.open.put(head, payload))
            }
            Some(Unpacked::Bytes(bytes)) => {
                self.whole(sent, bytes, chunk, from);
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Delivers a payload that has a buffer of its own.
    pub(super) fn large(
        &mut self,
        alias: u32,
        sent: Timestamp,
        payload: &Bytes,
        chunk: &Arc<Buffer>,
        from: &From<'_>,
    ) -> Result<(), Reason> {
        match self.unpack(alias, payload, from)? {
            Some(Unpacked::Plain) => self.whole(sent, payload.behind(1), chunk, from),
            Some(Unpacked::Bytes(bytes)) => self.whole(sent, bytes, chunk, from),
            None => {}
        }
        Ok(())
    }

    fn whole(&mut self, sent: Timestamp, bytes: Bytes, chunk: &Arc<Buffer>, from: &From<'_>) {
        // Those before it that lie in the chunk go first.
        if !self.open.stage.heads.is_empty() {
            self.open.flush(chunk, from.staging);
        }
        let sequence = self.open.numbers.sequence;
        self.open.numbers.sequence += 1;
        let Inlet { inbox, source } = &self.open.inlet;
        inbox.deliver(Run::whole(source.clone(), sequence, sent, bytes));
    }

    /// `None` where it is lost, and counted.
    fn unpack(&mut self, alias: u32, payload: &[u8], from: &From<'_>) -> Result<Option<Unpacked>, Reason> {
        match unpack(from.line, alias, payload, from.largest, from.pool) {
            Ok(unpacked) => Ok(Some(unpacked)),
            Err(reason) if self.relayed => {
                log::warn!("{}: {reason}; it is dropped, as it was only passed on", from.line.url);
                from.line.note_damaged();
                self.open.inlet.source.note_lost_at(1, LostAt::OnTheWay);
                self.open.numbers.sequence += 1;
                Ok(None)
            }
            Err(reason) => Err(reason),
        }
    }
}

/// What the aliases of a line share for unpacking.
pub(super) struct From<'a> {
    pub(super) line: &'a Line,
    pub(super) largest: usize,
    /// For what is unpacked.
    pub(super) pool: &'a Arc<Pool>,
    /// For what is staged.
    pub(super) staging: &'a Arc<Pool>,
}

impl Inlets {
    /// Takes in a message of a packed alias whose payload ends at `end` of the chunk. `None` where it is of another.
    pub(super) fn packed_message(
        &mut self,
        alias: u32,
        sent: Timestamp,
        payload: &[u8],
        end: usize,
        origin: Origin<'_>,
    ) -> Option<Result<(), Reason>> {
        let Self { slots, staged, pool, unpacked, largest, .. } = self;
        let Some(Slot::Packed(packed)) = slots.get_mut(alias as usize) else { return None };
        let from = From { line: origin.line, largest: *largest, pool: unpacked, staging: pool };
        Some(packed.put(alias, sent, payload, (origin.chunk, end), &from).map(|first| {
            if first {
                staged.push(alias);
            }
        }))
    }

    /// The same of one that has a buffer of its own.
    pub(super) fn packed_large(
        &mut self,
        alias: u32,
        sent: Timestamp,
        payload: &Bytes,
        origin: Origin<'_>,
    ) -> Option<Result<(), Reason>> {
        let Self { slots, pool, unpacked, largest, .. } = self;
        let Some(Slot::Packed(packed)) = slots.get_mut(alias as usize) else { return None };
        let from = From { line: origin.line, largest: *largest, pool: unpacked, staging: pool };
        Some(packed.large(alias, sent, payload, origin.chunk, &from))
    }
}
