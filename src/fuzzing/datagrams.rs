//! Datagrams of anybody: to a bound socket, and to a group.

use super::choices::Choices;
use crate::delivery::Delivery;
use crate::path::Path;
use crate::peer::Scope;
use crate::proto::group::{Group, GroupAction, GroupSettings, MAX_MEMBERS};
use crate::proto::{Declaration, IntentId, InterestId};
use crate::route::Route;
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::transport::udp::cookie::Cookies;
use crate::transport::udp::sorter::{Sorted, Sorter};
use crate::wire::group::{
    Announce, Datagram, Digest, Entry, Leave, Loss, Role, announce, leave, read, report,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Any bytes as datagrams. A bound socket answers none with more than it got, and keeps no more than its
/// bounds allow; a group stays within its bounds, and what it announces can be read.
///
/// # Panics
/// Where one of these is not so.
pub fn datagrams(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut sorter = Sorter::new(Cookies::new(), 1, 1198, 65_536);
    let mut now = Timestamp::from_micros(1_700_000_000_000_000);
    let mut group = group(now);
    for _ in 0..200 {
        if choices.below(16) == 0 {
            now = now + Duration::from_millis(choices.below(5000));
        }
        let datagram = datagram(&mut choices, now);
        let from = SocketAddr::new(Ipv4Addr::new(10, 0, 0, choices.below(4) as u8).into(), 7400);
        match sorter.datagram(now, from, &datagram, choices.below(8) > 0) {
            Sorted::Answer(answer) => assert!(answer.len() <= datagram.len(), "{} bytes", answer.len()),
            Sorted::Begun(..) => panic!("nobody guesses a token of a connection that was never opened"),
            Sorted::Content(..) | Sorted::Ended(_) | Sorted::Nothing => {}
        }
        match read(&datagram) {
            Ok(Datagram::Announce(announce)) => group.announced(now, "10.0.0.1:7400", announce),
            Ok(Datagram::Leave(leave)) => group.left(now, &leave),
            Ok(Datagram::Report(report)) => group.reported(now, &report),
            Ok(Datagram::Sample(..)) => {}
            Err(useless) => group.useless(now, "10.0.0.1:7400", &useless),
        }
        group.tick(now);
        while let Some(action) = group.poll() {
            if let GroupAction::Send(datagram) = action {
                assert!(datagram.len() <= 1200 && read(&datagram).is_ok());
            }
        }
        assert!(group.members().count() <= MAX_MEMBERS);
        assert!(group.next_wake().is_none_or(|wake| wake > now), "it would be ticked for ever");
    }
}

fn group(now: Timestamp) -> Group {
    let mut group = Group::new(
        now,
        GroupSettings {
            url: "udp://239.1.1.1:7400".into(),
            path: path(),
            scope: Scope::Open,
            instance: [0xEE; 16],
            seed: 1,
            interval: Duration::from_secs(1),
            mtu: 1200,
        },
    );
    for number in 0..4 {
        let declaration =
            Declaration { route: route(number), schema: Arc::new(Schema::raw()), codec: "raw", packs: false };
        group.declare_intent(now, IntentId(2 * number), &declaration, number == 0, number == 1);
        let delivery = if number == 2 { Delivery::Lossless(4) } else { Delivery::Latest };
        group.declare_interest(now, InterestId(2 * number + 1), &declaration, delivery);
    }
    group
}

fn path() -> Path {
    Path::parse("robot").expect("a path")
}

fn route(number: u32) -> Route {
    Route::new("Bytes", &Path::parse(&format!("robot.raw{number}")).expect("a path")).expect("a route")
}

/// Mostly well-formed, sometimes bent a little, sometimes anything.
fn datagram(choices: &mut Choices<'_>, now: Timestamp) -> Vec<u8> {
    let mut instance = [0; 16];
    instance[0] = choices.below(6) as u8;
    instance[15] = choices.below(2) as u8;
    let mut datagram = match choices.below(5) {
        0 => (0..choices.below(80)).map(|_| choices.u8()).collect(),
        1 => leave(&Leave { instance, text: "so long".to_owned() }),
        2 => {
            let loss = |choices: &mut Choices<'_>| Loss {
                sender: if choices.below(4) == 0 { 1 } else { 0xEEEE_EEEE },
                intent: choices.below(8) as u32,
                interest: choices.below(8) as u32,
                lost: if choices.below(4) == 0 { choices.u64() } else { choices.below(1000) },
            };
            let losses: Vec<Loss> = (0..=choices.below(9)).map(|_| loss(choices)).collect();
            report(&instance, &losses, 1200).concat()
        }
        _ => {
            let roles = [
                Role::WantsLatest,
                Role::WantsQueue,
                Role::WantsLossless,
                Role::Supplies,
                Role::SuppliesAlone,
            ];
            let entries: Vec<Entry> = (0..choices.below(40))
                .map(|id| Entry {
                    role: roles[choices.below(5) as usize],
                    id: id as u32,
                    digest: Digest::of(&route(choices.below(5) as u32)),
                    fingerprint: choices.below(2),
                    codec: if choices.below(8) == 0 { "other".into() } else { "raw".into() },
                })
                .collect();
            let front = Announce {
                instance,
                clock: now,
                interval_millis: 1 + choices.below(5000) as u32,
                edition: choices.below(4) as u32,
                page: 0,
                pages: 1,
                path: path(),
                entries: Vec::new(),
            };
            let pages = announce(&front, &entries, 600);
            pages[choices.below(pages.len() as u64) as usize].clone()
        }
    };
    if choices.below(4) == 0 && !datagram.is_empty() {
        let at = choices.below(datagram.len() as u64) as usize;
        datagram[at] ^= 1 << choices.below(8);
    }
    if choices.below(16) == 0 {
        datagram.splice(0..0, [0, 0]);
    }
    datagram
}
