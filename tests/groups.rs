//! Groups on the loopback interface: several endpoints, each with a socket of its own.

mod support;

use bowline::{
    Bytes, Endpoint, Event, Fate, Intent, IntentSettings, Interest, InterestSettings, LostAt, ReasonCode,
    Refusal,
};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use support::{MOMENT, SOON, Watch, panics_end_the_program, until};

/// So many small datagrams a socket has room for, each of which Linux counts as some 800 bytes.
const MOST_AT_ONCE: usize = 300;

/// A group of its own for each test.
fn group() -> (String, u16) {
    panics_end_the_program();
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let port = 20_000 + (std::process::id() % 20_000) as u16 + number;
    (format!("udp://239.255.78.{}:{port}?interface=127.0.0.1", number + 1), port)
}

fn member(path: &str, group: &str) -> Endpoint {
    member_heard_each(path, group, Duration::from_millis(300))
}

fn member_heard_each(path: &str, group: &str, interval: Duration) -> Endpoint {
    Endpoint::builder(path).join(group).ping_interval(interval).start().expect("it starts")
}

/// A socket that sends to a group what it is told to.
fn stranger() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let reference = socket2::SockRef::from(&socket);
    reference.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket
}

/// A socket that hears what is sent to a group.
fn listener(group: &str) -> UdpSocket {
    let address: SocketAddrV4 = address(group).parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(address.ip(), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn address(group: &str) -> &str {
    group.trim_start_matches("udp://").split('?').next().unwrap()
}

#[test]
fn one_datagram_reaches_all_who_want_it_in_order() {
    let (group, _) = group();
    let robot = member("robot", &group);
    let desks: Vec<_> = ["a", "b", "c"].map(|path| member(path, &group)).into();
    let wanted: Vec<Interest<u32>> = desks.iter().map(|desk| desk.interest("robot.count").unwrap()).collect();
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    assert!(count.wait_interests(3, SOON));
    assert_eq!(count.interested(), 3);
    let before = robot.groups()[0].sent;
    for number in 0..100 {
        let outcome = count.send(number).unwrap();
        assert_eq!((outcome.taken(), outcome.worst()), (1, Fate::Written));
        for wanted in &wanted {
            let sample = wanted.recv_timeout(SOON).unwrap();
            assert_eq!((*sample, sample.sequence()), (number, u64::from(number)));
            assert!(sample.age() < SOON);
            assert_eq!(sample.peer().unwrap().path.as_ref().unwrap().as_str(), "robot");
        }
    }
    assert!(robot.groups()[0].sent - before < 100 + 100, "each sample is sent once");
    for desk in &desks {
        assert_eq!(desk.groups()[0].members.len(), 3);
        // A sample is counted once all who want it have it: a moment after the first of them.
        until("all are counted", || desk.groups()[0].taken == 100);
    }
}

#[test]
fn who_closes_while_much_comes_says_so() {
    let (group, _) = group();
    let robot = member_heard_each("robot", &group, Duration::from_secs(3));
    let mut watch = Watch::new(&robot);
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    for _ in 0..20 {
        let desk = member_heard_each("desk", &group, Duration::from_secs(3));
        let _wanted: Interest<u32> = desk.interest("robot.count").unwrap();
        assert!(count.wait_interest(SOON));
        // Its reader wakes for each, also while it closes. They come back to who sends them, and no more of them than its
        // socket has room for: what it says as it closes must not be lost there, however late this one's reader is.
        let closing = std::thread::spawn(move || desk.close(SOON));
        for _ in 0..MOST_AT_ONCE {
            count.send(1).unwrap();
            std::thread::sleep(Duration::from_micros(20));
            if closing.is_finished() {
                break;
            }
        }
        closing.join().unwrap();
        let reason = watch.find(|event| match event {
            Event::MemberLeft { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert_eq!((reason.code(), reason.is_by_peer()), (ReasonCode::Closing, true), "{reason}");
        until("nobody is interested", || count.interested() == 0);
    }
}

#[test]
fn members_come_and_go_with_events() {
    let (group, _) = group();
    // So seldom that a busy machine makes none of them seem silent.
    let [robot, desk] = ["robot", "desk"].map(|path| member_heard_each(path, &group, Duration::from_secs(3)));
    let mut watch = Watch::new(&robot);
    let wanted: Interest<u32> = desk.interest("robot.count").unwrap();
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    let joined = watch.find(|event| match event {
        Event::MemberJoined { member } => Some(member.clone()),
        _ => None,
    });
    assert_eq!(joined.to_string(), format!("desk (udp://{})", address(&group)));
    assert!(count.wait_interest(SOON) && wanted.wait_intent(SOON));
    watch.wait(|event| matches!(event, Event::RouteLinked { .. }));
    desk.close(SOON);
    let reason = watch.find(|event| match event {
        Event::MemberLeft { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!((reason.code(), reason.is_by_peer()), (ReasonCode::Closing, true), "{reason}");
    watch.wait(|event| matches!(event, Event::RouteUnlinked { .. }));
    until("nobody is interested", || count.interested() == 0);
    assert_eq!(count.send(1).unwrap().worst(), Fate::NoInterest);
    assert!(wanted.recv_timeout(SOON).is_err_and(|error| error.is_closed()));
}

#[test]
fn a_member_that_falls_silent_is_found_in_time() {
    let (group, _) = group();
    let robot = member("robot", &group);
    let mut watch = Watch::new(&robot);
    // An ANNOUNCE by hand: 100 ms interval, path `ghost`, nothing to say, and then silence.
    let mut datagram = vec![b'B', b'G', 1, 2];
    datagram.extend([7; 16]);
    datagram.extend(0u64.to_le_bytes());
    datagram.extend(100u32.to_le_bytes());
    datagram.extend([0, 0, 0, 0, 0, 0, 1, 0, 5]);
    datagram.extend(b"ghost\0");
    stranger().send_to(&datagram, address(&group)).unwrap();
    watch.wait(|event| matches!(event, Event::MemberJoined { .. }));
    let began = Instant::now();
    let reason = watch.find(|event| match event {
        Event::MemberLeft { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.code(), ReasonCode::Silent);
    assert!(began.elapsed() >= Duration::from_millis(400) && began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn who_comes_late_gets_the_retained_sample_and_the_others_not_twice() {
    let (group, _) = group();
    let robot = member("robot", &group);
    let state: Intent<u32> = robot.intent_with("robot.state", IntentSettings::new().retain()).unwrap();
    state.send(7).unwrap();
    let early = member("early", &group);
    let first: Interest<u32> = early.interest("robot.state").unwrap();
    assert_eq!(*first.recv_timeout(SOON).unwrap(), 7, "it was sent before anybody was there");
    state.send(8).unwrap();
    assert_eq!(*first.recv_timeout(SOON).unwrap(), 8);
    let late = member("late", &group);
    let second: Interest<u32> = late.interest("robot.state").unwrap();
    assert_eq!(*second.recv_timeout(SOON).unwrap(), 8);
    assert!(first.recv_timeout(MOMENT).is_err());
    state.send(9).unwrap();
    assert_eq!((*first.recv_timeout(SOON).unwrap(), *second.recv_timeout(SOON).unwrap()), (9, 9));
    assert_eq!(first.counts().lost_on_the_way, 0);
}

#[test]
fn what_no_group_can_do_is_said_in_words_on_both_sides() {
    let (group, _) = group();
    let (robot, desk) = (member("robot", &group), member("desk", &group));
    let (mut there, mut here) = (Watch::new(&robot), Watch::new(&desk));
    let _every: Interest<u32> =
        desk.interest_with("robot.count", InterestSettings::new().lossless(4)).unwrap();
    let _other: Interest<u64> =
        desk.interest_with("robot.other", InterestSettings::new().type_name("n")).unwrap();
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    let _ours: Intent<u32> = robot.intent_with("robot.other", IntentSettings::new().type_name("n")).unwrap();
    for watch in [&mut there, &mut here] {
        let mut seen = (false, false);
        while seen != (true, true) {
            match watch.find(|event| match event {
                Event::RouteRefused { refusal, .. } => Some(refusal.clone()),
                _ => None,
            }) {
                Refusal::Delivery(text) => seen.0 = text.contains("queue(n)"),
                Refusal::Schema(text) => seen.1 = text.contains("fingerprint"),
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(count.interested(), 0);
}

#[test]
fn a_sample_larger_than_a_datagram_is_too_large_for_the_group() {
    let (group, _) = group();
    let (robot, desk) = (member("robot", &format!("{group}&mtu=600")), member("desk", &group));
    let image: Intent<Bytes> = robot.intent("robot.image").unwrap();
    let wanted: Interest<Bytes> = desk.interest("robot.image").unwrap();
    assert!(image.wait_interest(SOON));
    let outcome = image.send(Bytes::from(vec![1; 561])).unwrap();
    assert_eq!((outcome.taken(), outcome.worst()), (0, Fate::TooLarge));
    assert_eq!(image.send(Bytes::from(vec![2; 560])).unwrap().worst(), Fate::Written);
    assert_eq!(&wanted.recv_timeout(SOON).unwrap()[..], [2; 560]);
    assert_eq!(wanted.counts().lost_on_the_way, 0, "what was refused has no number");
}

#[test]
fn gaps_are_counted_and_told_by_who_missed_something() {
    let (group, _) = group();
    let heard = listener(&group);
    let desk = member("desk", &group);
    let mut watch = Watch::new(&desk);
    let wanted: Interest<Bytes> = desk.interest("robot.raw").unwrap();
    // Another implementation announces an intent and loses a few numbers.
    let mut announce = vec![b'B', b'G', 1, 2];
    announce.extend([9; 16]);
    announce.extend(0u64.to_le_bytes());
    announce.extend(60_000u32.to_le_bytes());
    announce.extend([1, 0, 0, 0, 0, 0, 1, 0, 5]);
    announce.extend(b"robot");
    announce.extend([1, 3, 42]);
    let digest = digest_of("Bytes@robot.raw");
    announce.extend(digest);
    announce.extend(0u64.to_le_bytes());
    announce.push(3);
    announce.extend(b"raw");
    let socket = stranger();
    let send = |bytes: &[u8]| socket.send_to(bytes, address(&group)).map(drop).unwrap();
    send(&announce);
    assert!(wanted.wait_intent(SOON));
    let sample = |number: u32| {
        let mut sample = vec![b'B', b'G', 1, 1];
        sample.extend(digest);
        sample.extend([9; 4]);
        sample.extend(42u32.to_le_bytes());
        sample.extend(number.to_le_bytes());
        sample.extend(0u64.to_le_bytes());
        sample.extend(number.to_le_bytes());
        sample
    };
    // One at a time: a busy system may hand on two datagrams of one socket the other way round.
    let mut late = 0;
    for (number, sequence) in
        [(10u32, Some(0)), (11, Some(1)), (15, Some(5)), (14, None), (15, None), (16, Some(6))]
    {
        send(&sample(number));
        if let Some(sequence) = sequence {
            let sample = wanted.recv_timeout(SOON).unwrap();
            assert_eq!((&sample[..], sample.sequence()), (&number.to_le_bytes()[..], sequence));
        } else {
            late += 1;
            until("it was found late", || desk.groups()[0].late == late);
        }
    }
    assert_eq!(wanted.counts().lost_on_the_way, 3);
    watch.wait(|event| matches!(event, Event::SamplesLost { count: 3, lost: LostAt::OnTheWay, .. }));
    assert_eq!(desk.groups()[0].late, 2);
    // Who sent them is told: one entry, of its intent 42.
    let mut datagram = [0; 2048];
    let report = loop {
        let length = heard.recv(&mut datagram).expect("a report comes");
        if datagram[..4] == [b'B', b'G', 1, 4] {
            break &datagram[20..length];
        }
    };
    assert_eq!((&report[..9], &report[13..]), (&[1, 9, 9, 9, 9, 42, 0, 0, 0][..], &3u64.to_le_bytes()[..]));
    // Of a sender nobody knows, and of a route nobody wants.
    let mut unknown = sample(17);
    unknown[20] = 8;
    send(&unknown);
    let mut unwanted = sample(18);
    unwanted[4] ^= 1;
    send(&unwanted);
    until("both were counted", || {
        let status = &desk.groups()[0];
        (status.strangers, status.unwanted) == (1, 1)
    });
}

#[test]
fn who_sent_hears_of_what_others_missed() {
    let (group, _) = group();
    let robot = member("robot", &group);
    let heard = listener(&group);
    let mut watch = Watch::new(&robot);
    let raw: Intent<Bytes> = robot.intent("robot.raw").unwrap();
    // Another implementation wants it, and reports what it missed.
    let mut announce = vec![b'B', b'G', 1, 2];
    announce.extend([9; 16]);
    announce.extend(0u64.to_le_bytes());
    announce.extend(60_000u32.to_le_bytes());
    announce.extend([1, 0, 0, 0, 0, 0, 1, 0, 4]);
    announce.extend(b"desk");
    announce.extend([1, 1, 42]);
    announce.extend(digest_of("Bytes@robot.raw"));
    announce.extend(0u64.to_le_bytes());
    announce.push(3);
    announce.extend(b"raw");
    let socket = stranger();
    socket.send_to(&announce, address(&group)).unwrap();
    assert!(raw.wait_interest(SOON));
    assert_eq!(raw.send(Bytes::from(vec![1])).unwrap().worst(), Fate::Written);
    // The sample says who sent it and what its intent is called.
    let mut sample = [0; 2048];
    while sample[..4] != [b'B', b'G', 1, 1] {
        heard.recv(&mut sample).expect("the sample comes");
    }
    let mut report = vec![b'B', b'G', 1, 4];
    report.extend([9; 16]);
    report.push(1);
    report.extend(&sample[20..28]);
    report.extend(42u32.to_le_bytes());
    report.extend(5u64.to_le_bytes());
    for _ in 0..3 {
        socket.send_to(&report, address(&group)).unwrap();
    }
    let told = |event: &Event| match event {
        Event::SamplesLost { peer: Some(peer), count, lost: LostAt::There, .. } => {
            Some((peer.path.as_ref().unwrap().to_string(), *count))
        }
        _ => None,
    };
    assert_eq!(watch.find(told), ("desk".to_owned(), 5));
    let again = watch.all().into_iter().filter(|event| matches!(event, Event::SamplesLost { .. })).count();
    assert_eq!(again, 0, "what is repeated is told once");
}

#[test]
fn what_nobody_wants_is_dropped_by_the_system_until_somebody_does() {
    let (group, _) = group();
    let (robot, desk, other) = (member("robot", &group), member("desk", &group), member("other", &group));
    let few: Intent<u32> = robot.intent("robot.few").unwrap();
    let many: Intent<u32> = robot.intent("robot.many").unwrap();
    let wanted: Interest<u32> = desk.interest("robot.few").unwrap();
    let _elsewhere: Interest<u32> = other.interest("robot.many").unwrap();
    assert!(few.wait_interest(SOON) && many.wait_interest(SOON));
    let mut number = 0;
    // What was sent before has been dropped, by the one or the other, once this arrives.
    let mut unwanted_after = |count: u32| {
        for number in 0..count {
            many.send(number).unwrap();
        }
        number += 1;
        few.send(number).unwrap();
        assert_eq!(*wanted.recv_timeout(SOON).unwrap(), number);
        desk.groups()[0].unwanted
    };
    if cfg!(target_os = "linux") {
        until("the system drops them", || unwanted_after(0) == unwanted_after(20));
    } else {
        assert_eq!(unwanted_after(20), 20);
    }
    let late: Interest<u32> = desk.interest("robot.many").unwrap();
    assert!(many.wait_interests(2, SOON));
    for number in 0..20 {
        many.send(number).unwrap();
        assert_eq!(*late.recv_timeout(SOON).unwrap(), number, "from the first on");
    }
    assert_eq!(late.counts().lost_on_the_way, 0);
}

#[test]
fn a_flood_of_rubbish_and_of_made_up_members_is_bounded_and_told() {
    let (group, _) = group();
    let (robot, desk) = (member("robot", &group), member("desk", &group));
    let mut watch = Watch::new(&desk);
    let wanted: Interest<u32> = desk.interest("robot.count").unwrap();
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    assert!(count.wait_interest(SOON));
    let socket = stranger();
    for number in 0..2000u32 {
        let mut announce = vec![b'B', b'G', 1, 2];
        announce.extend(number.to_le_bytes());
        announce.extend([5; 12]);
        announce.extend(0u64.to_le_bytes());
        announce.extend(u32::MAX.to_le_bytes());
        announce.extend([0, 0, 0, 0, 0, 0, 1, 0, 5]);
        announce.extend(b"ghost\0");
        let _ = socket.send_to(&announce, address(&group));
        let _ = socket.send_to(&announce[..announce.len() - 3], address(&group));
        let _ = socket.send_to(b"GET / HTTP/1.1\r\n", address(&group));
        if number % 100 == 0 {
            // The flood may fill what the system holds of a socket: then the next one gets through.
            until("a sample gets through", || {
                count.send(number).unwrap();
                wanted.recv_timeout(MOMENT).is_ok_and(|sample| *sample == number)
            });
        }
    }
    watch.wait(|event| matches!(event, Event::GroupFault { text, .. } if text.contains("of no use")));
    let status = &desk.groups()[0];
    assert!(status.members.len() <= 256 && status.useless > 0 && status.refused > 0, "{status:?}");
}

#[test]
fn broadcast_on_the_loopback_network_reaches_all() {
    let (_, port) = group();
    let group = format!("udp://127.255.255.255:{port}?broadcast=1");
    let (robot, desk) = (member("robot", &group), member("desk", &group));
    let count: Intent<u32> = robot.intent("robot.count").unwrap();
    let wanted: Interest<u32> = desk.interest_with("robot.count", InterestSettings::new().latest()).unwrap();
    assert!(count.wait_interest(SOON));
    assert_eq!(count.send(5).unwrap().worst(), Fate::Written);
    until("the sample is there", || wanted.latest().newest().is_some_and(|sample| *sample == 5));
}

#[test]
fn a_group_is_joined_by_connect_too_and_refused_where_it_cannot_be() {
    let (group, port) = group();
    let base = group.split('?').next().unwrap().to_owned();
    let robot = Endpoint::builder("robot").connect(format!("{base}/*?interface=127.0.0.1")).start().unwrap();
    assert_eq!(robot.groups()[0].url, base);
    let error = Endpoint::builder("desk").connect(format!("{base}/robot")).start().unwrap_err();
    assert!(error.to_string().contains("many members"), "{error}");
    let error = Endpoint::builder("desk")
        .join(format!("udp://239.1.1.1:{port}?interface=nowhere7"))
        .start()
        .unwrap_err();
    assert!(error.to_string().contains("no such interface"), "{error}");
    assert!(robot.close(SOON));
}

/// The first half of the SHA-256 of a text.
fn digest_of(route: &str) -> [u8; 16] {
    let hashed: bowline::Route = route.parse().unwrap();
    let prefix = hashed.path().unwrap().clone();
    hashed.hashed(&prefix).unwrap().digest().unwrap()[..16].try_into().unwrap()
}
