use super::*;
use proptest::prelude::*;

fn entry(number: u32, role: Role) -> Entry {
    let route = Route::parse(&format!("Imu@robot.imu{number}")).unwrap();
    Entry { role, id: number, digest: Digest::of(&route), fingerprint: 7, codec: "bincode".into() }
}

fn front() -> Announce {
    Announce {
        instance: std::array::from_fn(|at| 0xA0 + at as u8),
        clock: Timestamp::from_micros(1_700_000_000_000_000),
        interval_millis: 1000,
        edition: 3,
        page: 0,
        pages: 1,
        path: Path::parse("robot.base").unwrap(),
        entries: Vec::new(),
    }
}

#[test]
fn a_table_comes_back_from_its_pages_and_each_fits() {
    let roles =
        [Role::WantsLatest, Role::WantsQueue, Role::WantsLossless, Role::Supplies, Role::SuppliesAlone];
    for count in [0, 1, 31, 100] {
        let entries: Vec<_> = (0..count).map(|n| entry(n, roles[n as usize % 5])).collect();
        let pages = announce(&front(), &entries, 1200);
        let mut again = Vec::new();
        for (number, page) in pages.iter().enumerate() {
            assert!(page.len() <= 1200, "{}", page.len());
            let Ok(Datagram::Announce(announce)) = read(page) else { panic!("{page:?}") };
            assert_eq!((announce.page as usize, announce.pages as usize), (number, pages.len()));
            assert_eq!((announce.instance, announce.edition), (front().instance, 3));
            again.extend(announce.entries);
        }
        assert_eq!(again, entries);
    }
    let many: Vec<_> = (0..9000).map(|n| entry(n, Role::WantsQueue)).collect();
    assert_eq!(announce(&front(), &many, 600).len(), usize::from(MAX_PAGES), "the rest is left out");
}

#[test]
fn a_sample_is_known_by_its_digest_alone() {
    let digest = Digest::of(&Route::parse("Imu@robot.imu").unwrap());
    let head = SampleHead { digest, sender: 1, intent: 2, sequence: 3, sent: Timestamp::from_micros(4) };
    let mut datagram = head.encode().to_vec();
    datagram.extend_from_slice(b"payload");
    assert_eq!(sample_digest(&datagram), Some(digest));
    assert_eq!(read(&datagram), Ok(Datagram::Sample(head, &b"payload"[..])));
    assert_eq!(sample_digest(&datagram[..SAMPLE_HEAD - 1]), None);
    datagram[2] = 9;
    assert_eq!(sample_digest(&datagram), None);
    assert_eq!(read(&datagram), Err(Useless::Version(9)));
}

#[test]
fn every_cut_of_every_kind_is_refused() {
    let text = "the endpoint is closing".to_owned();
    let bye = leave(&Leave { instance: front().instance, text: text.clone() });
    assert_eq!(read(&bye), Ok(Datagram::Leave(Leave { instance: front().instance, text })));
    let page = announce(&front(), &[entry(1, Role::Supplies)], 1200).remove(0);
    let missed = report(&front().instance, &[Loss { sender: 1, intent: 2, interest: 3, lost: 4 }], 1200);
    for whole in [bye, page, missed.concat()] {
        assert!(read(&whole).is_ok());
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(read(&longer), Err(Useless::Malformed(Fault::Trailing { count: 1 })));
    }
}

#[test]
fn a_count_takes_no_memory_that_is_not_there() {
    let mut page = announce(&front(), &[], 1200).remove(0);
    page.pop();
    varint::put(&mut page, 4_000_000_000);
    assert!(matches!(read(&page), Err(Useless::Malformed(Fault::Value { field: "count", .. }))));
}

#[test]
fn losses_come_back_from_their_reports_and_each_fits() {
    let losses: Vec<_> = (0..5000)
        .map(|n| Loss { sender: n, intent: n + 1, interest: n + 2, lost: u64::MAX - u64::from(n) })
        .collect();
    for (limit, count) in [(600, 179), (1200, 87), (65_507, 2)] {
        let datagrams = report(&front().instance, &losses, limit);
        let mut again = Vec::new();
        for datagram in &datagrams {
            assert!(datagram.len() <= limit);
            let Ok(Datagram::Report(report)) = read(datagram) else { panic!("{datagram:?}") };
            assert_eq!(report.instance, front().instance);
            again.extend(report.losses);
        }
        assert_eq!((again, datagrams.len()), (losses.clone(), count), "{limit}");
    }
    assert_eq!(report(&front().instance, &[], 1200).len(), 0);
}

#[test]
fn a_long_farewell_is_cut_between_letters() {
    let bye = leave(&Leave { instance: [1; 16], text: "ä".repeat(200) });
    let Ok(Datagram::Leave(read)) = read(&bye) else { panic!() };
    assert_eq!(read.text, "ä".repeat(128));
}

proptest! {
    #[test]
    fn any_bytes_are_a_datagram_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..6) {
        let mut front = vec![MAGIC[0], MAGIC[1], VERSION, kind];
        front.extend(&bytes);
        for datagram in [&bytes[..], &front[..]] {
            if let Err(error) = read(datagram) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// A `hex group` block of the specification.
fn vector(name: &str) -> Vec<u8> {
    let page = include_str!("../PROTOCOL.md");
    let fence = format!("```hex group {name}\n");
    let block = page.split_once(&fence).and_then(|(_, rest)| rest.split_once("```")).expect("it is there").0;
    let digits = block.lines().flat_map(|line| line.split(';').next().unwrap_or_default().split_whitespace());
    digits.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

#[test]
fn the_vectors_of_the_specification_are_read_and_written() {
    let instance = front().instance;
    let of = |route: &str| Digest::of(&Route::parse(route).unwrap());
    let sent = Timestamp::from_micros(1_700_000_000_001_000);
    let sample = vector("sample");
    let head = SampleHead {
        digest: of("Bytes@robot.raw"),
        sender: sender_of(&instance),
        intent: 7,
        sequence: 5,
        sent,
    };
    assert_eq!(read(&sample), Ok(Datagram::Sample(head, &b"hello"[..])));
    assert_eq!(sample, [&head.encode()[..], b"hello"].concat());

    let page = vector("announce");
    let Ok(Datagram::Announce(told)) = read(&page) else { panic!("{:?}", read(&page)) };
    let entry = |role, id, route| Entry { role, id, digest: of(route), fingerprint: 0, codec: "raw".into() };
    let entries =
        vec![entry(Role::Supplies, 7, "Bytes@robot.raw"), entry(Role::WantsLatest, 300, "Bytes@desk.raw")];
    let path = Path::parse("robot").unwrap();
    let expected = Announce { clock: sent, path, entries: entries.clone(), ..front() };
    assert_eq!(told, expected);
    assert_eq!(announce(&expected, &entries, 1200), [page]);

    let missed = Loss { sender: 0xB3B2_B1B0, intent: 7, interest: 300, lost: 65_537 };
    assert_eq!(report(&instance, &[missed], 1200), [vector("report")]);
    let told = Report { instance, losses: vec![missed] };
    assert_eq!(read(&vector("report")), Ok(Datagram::Report(told)));

    let bye = Leave { instance, text: "bye".into() };
    assert_eq!(read(&vector("leave")), Ok(Datagram::Leave(bye.clone())));
    assert_eq!(leave(&bye), vector("leave"));
}
