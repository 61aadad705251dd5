use super::*;
use crate::delivery::Delivery;
use crate::event::{LostAt, Refusal, Side};
use crate::wire::group::{Datagram, Loss, read};

/// Members of one group in virtual time; every datagram reaches everyone else at once.
struct Room {
    now: Timestamp,
    groups: Vec<Group>,
    done: Vec<Vec<GroupAction>>,
    sent: usize,
}

const INTERVAL: Duration = Duration::from_secs(1);

fn settings(number: u8, path: &str) -> GroupSettings {
    GroupSettings {
        url: "udp://239.1.1.1:7400".into(),
        path: Path::parse(path).unwrap(),
        scope: Scope::Open,
        instance: [number; 16],
        seed: number.into(),
        interval: INTERVAL,
        mtu: 1200,
    }
}

fn declaration(route: &str, version: u64) -> Declaration {
    let schema = Arc::new(Schema::versioned("Imu", version).unwrap());
    Declaration { route: Route::parse(route).unwrap(), schema, codec: "raw", packs: false }
}

impl Room {
    fn new(paths: &[&str]) -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let groups: Vec<_> =
            (1..).zip(paths).map(|(number, path)| Group::new(now, settings(number, path))).collect();
        let done = groups.iter().map(|_| Vec::new()).collect();
        Self { now, groups, done, sent: 0 }
    }

    /// Lets `span` pass.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.settle();
            let next = self.groups.iter().filter_map(Group::next_wake).min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            for group in &mut self.groups {
                group.tick(self.now);
            }
        }
        self.now = end;
    }

    fn settle(&mut self) {
        while let Some((from, action)) = (0..self.groups.len())
            .find_map(|number| self.groups[number].poll().map(|action| (number, action)))
        {
            if let GroupAction::Send(datagram) = &action {
                self.sent += 1;
                for (number, group) in self.groups.iter_mut().enumerate() {
                    match read(datagram).unwrap() {
                        Datagram::Announce(announce) if number != from => {
                            group.announced(self.now, "somewhere", announce);
                        }
                        Datagram::Leave(leave) if number != from => group.left(self.now, &leave),
                        Datagram::Report(report) if number != from => group.reported(self.now, &report),
                        _ => {}
                    }
                }
            } else {
                self.done[from].push(action);
            }
        }
    }

    fn events(&mut self, number: usize) -> Vec<Event> {
        let done = std::mem::take(&mut self.done[number]);
        done.into_iter()
            .filter_map(|action| if let GroupAction::Event(event) = action { Some(event) } else { None })
            .collect()
    }
}

#[test]
fn members_find_each_other_and_their_routes_within_milliseconds() {
    let mut room = Room::new(&["robot", "desk"]);
    let now = room.now;
    room.groups[0].declare_intent(now, IntentId(5), &declaration("Imu@robot.imu", 1), false, true);
    room.groups[1].declare_interest(now, InterestId(7), &declaration("Imu@robot.imu", 1), Delivery::Latest);
    room.run(Duration::from_millis(60));
    let repeats =
        |action: &&GroupAction| matches!(action, GroupAction::Wanted { intent: IntentId(5), late: true });
    assert_eq!((room.done[0].iter().filter(repeats).count(), room.groups[0].wanted(IntentId(5))), (1, 1));
    assert!(room.done[1].iter().any(|action| matches!(
        action,
        GroupAction::Supplied { interest: InterestId(7), supply: Supply { intent: 5, .. }, .. }
    )));
    for (number, side) in [(0, Side::Here), (1, Side::There)] {
        let events = room.events(number);
        assert!(
            matches!(&events[..], [Event::MemberJoined { .. }, Event::RouteLinked { supplier, .. }] if *supplier == side),
            "{events:?}"
        );
    }
    room.sent = 0;
    room.run(Duration::from_secs(10));
    assert_eq!(room.sent, 20, "one announcement a second each");
    let now = room.now;
    room.groups[1].withdraw_interest(now, InterestId(7));
    room.run(Duration::from_millis(1));
    let events = room.events(0);
    assert!(matches!(&events[..], [Event::RouteUnlinked { supplier: Side::Here, .. }]), "{events:?}");
}

#[test]
fn who_falls_silent_is_gone_after_three_and_a_half_intervals_and_who_says_so_at_once() {
    let mut room = Room::new(&["robot", "desk", "arm"]);
    room.run(Duration::from_millis(500));
    assert_eq!(room.groups[0].members().count(), 2);
    let silent = room.groups.pop().unwrap();
    room.events(0);
    room.run(Duration::from_millis(3000));
    assert_eq!(room.groups[0].members().count(), 2);
    room.run(Duration::from_millis(700));
    let events = room.events(0);
    assert!(
        matches!(&events[..], [Event::MemberLeft { reason, .. }] if reason.code() == ReasonCode::Silent),
        "{events:?}"
    );
    drop(silent);
    let now = room.now;
    room.groups[1].close(now);
    room.settle();
    let events = room.events(0);
    assert!(
        matches!(&events[..], [Event::MemberLeft { reason, .. }]
        if reason.is_by_peer() && reason.text() == "`desk` is closing"),
        "{events:?}"
    );
}

#[test]
fn what_does_not_fit_is_told_in_words_to_both() {
    let mut room = Room::new(&["robot", "desk"]);
    let now = room.now;
    room.groups[0].declare_intent(now, IntentId(1), &declaration("Imu@robot.a", 1), false, false);
    room.groups[1].declare_interest(now, InterestId(1), &declaration("Imu@robot.a", 2), Delivery::Latest);
    room.groups[0].declare_intent(now, IntentId(2), &declaration("Imu@robot.b", 1), false, false);
    room.groups[1].declare_interest(
        now,
        InterestId(2),
        &declaration("Imu@robot.b", 1),
        Delivery::Lossless(4),
    );
    room.groups[0].declare_intent(now, IntentId(3), &declaration("Imu@robot.c", 1), true, false);
    room.groups[1].declare_intent(now, IntentId(3), &declaration("Imu@robot.c", 1), false, false);
    let mut other = declaration("Imu@robot.d", 1);
    room.groups[0].declare_intent(now, IntentId(4), &other, false, false);
    other.codec = "postcard";
    room.groups[1].declare_interest(now, InterestId(4), &other, Delivery::Latest);
    room.run(Duration::from_secs(5));
    for number in 0..2 {
        let events = room.events(number);
        let refused: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::RouteRefused { refusal, .. } => Some(refusal),
                _ => None,
            })
            .collect();
        let count = |wanted: fn(&Refusal) -> bool| refused.iter().filter(|refusal| wanted(refusal)).count();
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert_eq!(
            count(|refusal| matches!(refusal, Refusal::Schema(text) if text.contains("fingerprint"))),
            1
        );
        assert_eq!(count(|refusal| matches!(refusal, Refusal::Delivery(_))), 1);
        assert_eq!(count(|refusal| matches!(refusal, Refusal::Codec { .. })), 1);
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Conflict { .. })).count(), 1);
        assert_eq!(events.len(), 5, "{events:?}");
    }
}

#[test]
fn a_scope_of_ones_own_holds_in_a_group_too() {
    let mut room = Room::new(&["robot.arm", "desk"]);
    room.groups[1].settings.scope = Scope::Own;
    let now = room.now;
    for (id, route) in [(1, "Imu@robot.arm.imu"), (2, "Imu@robot.base.imu")] {
        room.groups[0].declare_intent(now, IntentId(id), &declaration(route, 1), false, false);
        room.groups[1].declare_interest(now, InterestId(id), &declaration(route, 1), Delivery::Latest);
    }
    room.run(Duration::from_millis(100));
    let events = room.events(1);
    assert!(
        matches!(
            &events[..],
            [
                Event::MemberJoined { .. },
                Event::RouteLinked { .. },
                Event::RouteRefused { refusal: Refusal::NoRight(_), .. }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn a_table_of_many_pages_is_compared_when_the_last_has_come() {
    let mut room = Room::new(&["robot", "desk"]);
    let now = room.now;
    for id in 0..200 {
        let declared = declaration(&format!("Imu@robot.imu{id}"), 1);
        room.groups[0].declare_intent(now, IntentId(id), &declared, false, false);
        room.groups[1].declare_interest(now, InterestId(id), &declared, Delivery::Latest);
    }
    room.run(Duration::from_millis(100));
    assert_eq!(room.groups[1].members.values().next().unwrap().linked.len(), 200);
    let now = room.now;
    for id in 0..100 {
        room.groups[0].withdraw_intent(now, IntentId(id));
    }
    room.run(Duration::from_millis(100));
    assert_eq!(room.groups[1].members.values().next().unwrap().linked.len(), 100);
    assert_eq!(room.groups[1].entries, 100);
}

fn flood(number: u32) -> Announce {
    let mut instance = [0xEE; 16];
    instance[..4].copy_from_slice(&number.to_le_bytes());
    Announce {
        instance,
        clock: Timestamp::ZERO,
        interval_millis: u32::MAX,
        edition: number,
        page: 0,
        pages: 1,
        path: Path::parse("ghost").unwrap(),
        entries: Vec::new(),
    }
}

#[test]
fn a_flood_of_made_up_members_is_bounded_counted_and_told() {
    let mut room = Room::new(&["robot"]);
    room.run(Duration::from_millis(10));
    room.sent = 0;
    for number in 0..100_000u32 {
        room.now = room.now + Duration::from_micros(10);
        let now = room.now;
        room.groups[0].announced(now, "10.0.0.66:7400", flood(number));
        room.groups[0].tick(now);
    }
    room.settle();
    assert_eq!(room.groups[0].members().count(), MAX_MEMBERS);
    assert_eq!(room.groups[0].counts().refused, 100_000 - MAX_MEMBERS as u64);
    assert!(room.sent <= 3, "{} answers", room.sent);
    let events = room.events(0);
    let faults = events.iter().filter(|event| matches!(event, Event::GroupFault { .. })).count();
    assert_eq!((faults, events.len()), (1, MAX_MEMBERS + 1));
    // They claimed an interval of weeks.
    room.run(Duration::from_secs(211));
    assert_eq!(room.groups[0].members().count(), 0);
}

#[test]
fn tables_without_end_are_bounded() {
    let mut room = Room::new(&["robot"]);
    let entry = |id| Entry {
        role: Role::WantsQueue,
        id,
        digest: Digest([7; 16]),
        fingerprint: 1,
        codec: String::new(),
    };
    for number in 0..64 {
        for page in 0..250 {
            let mut announce = flood(number);
            (announce.page, announce.pages) = (page, 256);
            announce.entries = (0..100).map(|at| entry(u32::from(page) * 100 + at)).collect();
            let now = room.now;
            room.groups[0].announced(now, "10.0.0.66:7400", announce);
        }
    }
    let group = &room.groups[0];
    assert!(group.entries <= MAX_ENTRIES_IN_ALL, "{}", group.entries);
    assert_eq!(group.entries, group.members.values().map(Member::held).sum::<usize>());
    assert!(group.counts().refused > 0);
}

#[test]
fn ages_are_taken_from_the_fastest_announcement() {
    let mut member = Member::new(Timestamp::from_micros(1_000), "udp://x", &flood(1));
    let mut announce = flood(1);
    for (clock, arrival) in [(5_000, 6_400), (6_000, 7_100), (7_000, 9_000)] {
        announce.clock = Timestamp::from_micros(clock);
        member.hear(Timestamp::from_micros(arrival), &announce);
    }
    assert_eq!(member.clock.ours(Timestamp::from_micros(10_000)).micros(), 11_000);
}

#[test]
fn who_sent_is_told_what_was_missed_once_a_second_and_once_each() {
    let mut room = Room::new(&["robot", "desk"]);
    let now = room.now;
    room.groups[0].declare_intent(now, IntentId(5), &declaration("Imu@robot.imu", 1), false, false);
    room.groups[1].declare_interest(now, InterestId(7), &declaration("Imu@robot.imu", 1), Delivery::Queue(4));
    room.run(Duration::from_millis(100));
    let loss = Loss { sender: room.groups[0].sender(), intent: 5, interest: 7, lost: 0 };
    let told = |room: &mut Room| -> Vec<u64> {
        let told = room.events(0).into_iter().filter_map(|event| match event {
            Event::SamplesLost { peer: Some(peer), count, lost: LostAt::There, .. } => {
                assert_eq!(peer.path, Some(Path::parse("desk").unwrap()));
                Some(count)
            }
            _ => None,
        });
        told.collect()
    };
    // Each is repeated, as it may be lost; and what is meant for others, or for pairs that there are not, is not told.
    for lost in [3, 3, 10, 10] {
        let elsewhere = [
            Loss { sender: 9, lost: 99, ..loss },
            Loss { intent: 6, lost: 99, ..loss },
            Loss { interest: 8, lost: 99, ..loss },
        ];
        room.groups[1].report(&[elsewhere[0], elsewhere[1], Loss { lost, ..loss }, elsewhere[2]]);
        room.run(Duration::from_millis(10));
    }
    assert_eq!(told(&mut room), [3]);
    room.run(Duration::from_secs(1));
    assert_eq!(told(&mut room), [7]);
    // It met us anew.
    room.groups[1].report(&[Loss { lost: 2, ..loss }]);
    room.run(Duration::from_secs(1));
    assert_eq!(told(&mut room), [2]);
    // What was not told yet is told when they part.
    room.groups[1].report(&[Loss { lost: 4, ..loss }]);
    room.settle();
    let now = room.now;
    room.groups[1].withdraw_interest(now, InterestId(7));
    room.run(Duration::from_millis(100));
    assert_eq!(told(&mut room), [2]);
    room.groups[1].report(&[Loss { lost: 5, ..loss }]);
    room.run(Duration::from_secs(2));
    assert_eq!(told(&mut room), [0; 0], "they are no pair any more");
}

#[test]
fn a_member_that_was_not_heard_for_a_while_goes_on_counting_where_it_was() {
    let mut room = Room::new(&["robot", "desk"]);
    let now = room.now;
    room.groups[0].declare_intent(now, IntentId(5), &declaration("Imu@robot.imu", 1), false, false);
    room.groups[1].declare_interest(now, InterestId(7), &declaration("Imu@robot.imu", 1), Delivery::Queue(4));
    room.run(Duration::from_millis(100));
    let loss = |room: &Room, lost| Loss { sender: room.groups[0].sender(), intent: 5, interest: 7, lost };
    let losses = [loss(&room, 3), loss(&room, 5)];
    room.groups[1].report(&losses[..1]);
    room.run(Duration::from_millis(100));
    let absent = room.groups.pop().unwrap();
    room.run(Duration::from_secs(5));
    assert_eq!(room.groups[0].members().count(), 0);
    room.groups.push(absent);
    room.run(Duration::from_secs(2));
    room.groups[1].report(&losses[1..]);
    room.run(Duration::from_secs(2));
    let counts: Vec<u64> = room
        .events(0)
        .iter()
        .filter_map(|event| if let Event::SamplesLost { count, .. } = event { Some(*count) } else { None })
        .collect();
    assert_eq!(counts, [3, 2]);
}
