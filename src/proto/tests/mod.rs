//! Tests of whole engines, by promise.

mod carriage;
mod health;
mod hostile;
mod links;
mod packs;
mod relay;
mod rights;
mod routes;

use super::testbed::Bed;
use super::{Action, Engine, LinkId, LinkState};
use crate::event::Event;
use crate::reason::{Reason, ReasonCode};
use std::time::Duration;

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Two engines, `desk` and `robot.arm`, joined by a link that `desk` dialled; what happened until now
/// is forgotten.
pub(super) fn joined() -> (Bed, LinkId) {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    let link = bed.dial(0, "memory://robot.arm/robot.arm");
    assert_eq!(states(&bed, 0), [LinkState::Up]);
    assert_eq!(states(&bed, 1), [LinkState::Up]);
    forget(&mut bed);
    (bed, link)
}

pub(super) fn forget(bed: &mut Bed) {
    bed.settle();
    bed.actions.iter_mut().for_each(Vec::clear);
}

pub(super) fn states(bed: &Bed, place: usize) -> Vec<LinkState> {
    bed.engines[place].links(bed.now).map(|link| link.state).collect()
}

pub(super) fn ups(bed: &Bed, place: usize) -> usize {
    states(bed, place).into_iter().filter(|state| *state == LinkState::Up).count()
}

/// Why links went down, in order.
pub(super) fn downs(bed: &mut Bed, place: usize) -> Vec<Reason> {
    let events = bed.events(place).into_iter();
    events
        .filter_map(|event| if let Event::LinkDown { reason, .. } = event { Some(reason) } else { None })
        .collect()
}

/// The only reason why a link went down.
pub(super) fn down(bed: &mut Bed, place: usize) -> Reason {
    let mut downs = downs(bed, place);
    assert_eq!(downs.len(), 1, "{downs:?}");
    downs.remove(0)
}

pub(super) fn assert_down(bed: &mut Bed, place: usize, code: ReasonCode, by_peer: bool, text: &str) {
    let reason = down(bed, place);
    assert_eq!((reason.code(), reason.is_by_peer()), (code, by_peer), "{reason}");
    assert!(reason.text().contains(text), "{reason}");
}

/// What it does apart from sending frames and telling events.
pub(super) fn wires(bed: &Bed, place: usize) -> Vec<String> {
    let actions = bed.actions[place].iter();
    let wires = actions.filter_map(|action| match action {
        Action::OpenOutlet { intent, alias, .. } => Some(format!("open outlet {} as {alias}", intent.0)),
        Action::CloseOutlet { intent, alias, .. } => Some(format!("close outlet {} as {alias}", intent.0)),
        Action::OpenInlet { interest, alias, .. } => Some(format!("open inlet {} as {alias}", interest.0)),
        Action::DrainInlet { alias, .. } => Some(format!("drain inlet {alias}")),
        Action::CloseInlet { alias, .. } => Some(format!("close inlet {alias}")),
        Action::LinkLocal { intent, interest } => Some(format!("link {} to {}", intent.0, interest.0)),
        Action::UnlinkLocal { intent, interest } => Some(format!("unlink {} from {}", intent.0, interest.0)),
        _ => None,
    });
    wires.collect()
}
