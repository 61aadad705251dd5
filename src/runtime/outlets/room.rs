//! Whether there is room for a sample, with every lossless interest, before it is sent to any.

use super::{Outlet, Outlets, Sending, Turned, fate_of};
use crate::event::PeerName;
use crate::flow::outbox::Put;
use crate::outcome::Fate;
use crate::runtime::inbox::Inbox;
use crate::runtime::input::Input;
use crate::runtime::source::{Room, SourceRef};
use crate::runtime::stalls::{Note, Stall};
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::time::Duration;

impl Sending {
    /// Whether every lossless outlet takes a sample of so many bytes, or is to be passed over.
    pub(super) fn admit(&mut self, size: usize) -> Result<(), Turned> {
        let (list, mut first) = (&self.list, None);
        for (place, outlet) in list.iter().enumerate() {
            let put = match outlet {
                Outlet::Remote { line, lane, lossless: true } => match line.admits(*lane, size) {
                    Put::TooLarge => return Err(line.too_large()),
                    Put::PassedOver(Some(untaken)) => {
                        note(&self.core, &self.dispatcher, line.peer(), Stall::CutOff(untaken));
                        Put::PassedOver(None)
                    }
                    put => put,
                },
                #[cfg(feature = "lz4")]
                Outlet::Packed { line, lane, lossless: true, largest } => {
                    let packed = self.packer.sample_for(line).payload.len();
                    match line.admits(*lane, packed) {
                        Put::TooLarge => return Err(line.too_large()),
                        _ if size > *largest => return Err(line.too_large()),
                        Put::PassedOver(Some(untaken)) => {
                            note(&self.core, &self.dispatcher, line.peer(), Stall::CutOff(untaken));
                            Put::PassedOver(None)
                        }
                        put => put,
                    }
                }
                Outlet::Local { inbox, source, .. } => admits(&self.core, &self.dispatcher, inbox, source),
                _ => Put::Queued,
            };
            let left = match put {
                Put::NoCredit(left) | Put::TooManyBytes(left) => left,
                Put::NoRoom => Duration::MAX,
                _ => continue,
            };
            match &mut first {
                None => {
                    self.fates.clear();
                    self.fates.resize(list.len(), Fate::NotSent);
                    first = Some(Turned::NoRoom { place, fate: fate_of(put), left });
                }
                // Whoever is to be cut off first ends the wait.
                Some(Turned::NoRoom { left: least, .. }) => *least = left.min(*least),
                Some(_) => {}
            }
            if let Some(fate) = self.fates.get_mut(place) {
                *fate = fate_of(put);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// The one outlet there is has no room.
#[cold]
pub(super) fn turned(fates: &mut [Fate], put: Put) -> Turned {
    let fate = fate_of(put);
    if let Some(last) = fates.first_mut() {
        *last = fate;
    }
    let left = match put {
        Put::NoCredit(left) | Put::TooManyBytes(left) => left,
        _ => Duration::MAX,
    };
    Turned::NoRoom { place: 0, fate, left }
}

/// Whether an interest of this endpoint takes a sample.
#[inline]
pub(super) fn admits(core: &Outlets, dispatcher: &Sender<Input>, inbox: &Inbox, source: &SourceRef) -> Put {
    if source.has_room() {
        if let Some(missed) = source.is_back() {
            note(core, dispatcher, None, Stall::Over(missed));
        }
        return Put::Queued;
    }
    if inbox.is_closed() {
        return Put::Queued;
    }
    match source.turned_away(core.bounds.stall) {
        Room::None(left) => Put::NoCredit(left),
        Room::PassedOver(untaken) => {
            if let Some(untaken) = untaken {
                note(core, dispatcher, None, Stall::CutOff(untaken));
            }
            Put::PassedOver(None)
        }
    }
}

/// Has the dispatcher tell something; if it has too much to do it finds it with the next losses.
#[cold]
pub(super) fn note(core: &Outlets, dispatcher: &Sender<Input>, peer: Option<Arc<PeerName>>, stall: Stall) {
    let mut notes = core.notes.lock();
    if notes.len() < MOST_NOTES {
        notes.push(Note { peer, stall });
    }
    drop(notes);
    let _ = dispatcher.try_send(Input::Noted(core.id));
}

/// How many notes may wait to be told. They come once a second at most from each interest.
const MOST_NOTES: usize = 1024;
