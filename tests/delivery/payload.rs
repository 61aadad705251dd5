//! Sizes from nothing to more than is taken, and payloads that cannot be read.

use crate::support::{Kind, SOON, Watch, pair, pair_with, until};
use bowline::{
    Bytes, CodecError, Event, Fate, Intent, Interest, InterestSettings, Message, Payload, Sample, Schema,
    SchemaError,
};
use std::sync::mpsc::channel;

crate::each_kind!(
    bytes_of_every_size_arrive_as_they_were,
    a_sample_that_cannot_be_decoded_costs_only_itself,
    a_message_that_cannot_be_encoded_comes_back,
);
crate::each_link!(large_and_small_samples_share_a_link);

const KIB: usize = 1024;

/// Bytes that differ from place to place and from sample to sample.
fn bytes(length: usize, seed: usize) -> Bytes {
    Bytes::from((0..length).map(|i| (i * 31 + i / 251 + seed * 7) as u8).collect::<Vec<_>>())
}

fn bytes_of_every_size_arrive_as_they_were(kind: Kind) {
    let pair = pair(kind);
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let want =
        |settings| -> Interest<Bytes> { pair.desk.interest_with("robot.raw", settings).expect("interest") };
    let (all, newest) = (want(InterestSettings::new().lossless(4)), want(InterestSettings::new().latest()));
    let (give, given) = channel();
    let _subscription = pair
        .desk
        .on_sample("robot.raw", InterestSettings::new(), move |sample: Sample<Bytes>| {
            let _ = give.send(sample.into_inner());
        })
        .expect("subscription");
    until("all are linked", || intent.interested() == 3);
    let sizes = [0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB, 128 * KIB, 1024 * KIB, 0, 3];
    // A burst of many hundred datagrams that nobody repeats may be lost, and is counted then.
    let sizes = sizes.into_iter().filter(|size| kind != Kind::Udp || *size <= 16 * KIB + 1);
    for (seed, size) in sizes.enumerate() {
        let sent = bytes(size, seed);
        let outcome = intent.send_timeout(sent.clone(), SOON).expect("goes on");
        assert_eq!(outcome.taken(), 3, "{size} bytes");
        assert!(*all.recv_timeout(SOON).expect("arrives") == sent, "{size} bytes differ");
        assert!(given.recv_timeout(SOON).expect("was called") == sent, "{size} bytes differ");
        until("the latest is this one", || newest.latest().newest().is_some_and(|sample| *sample == sent));
        let slice = intent.send_slice(&sent, SOON).expect("goes on");
        assert_eq!(slice.taken(), 3);
        assert!(*all.recv_timeout(SOON).expect("arrives") == sent, "{size} bytes as a slice differ");
        assert!(given.recv_timeout(SOON).expect("was called") == sent);
    }
}

fn large_and_small_samples_share_a_link(kind: Kind) {
    let pair = pair(kind);
    let images: Intent<Bytes> = pair.robot.intent("robot.image").expect("intent");
    let counts: Intent<u32> = pair.robot.intent("robot.count").expect("intent");
    let image: Interest<Bytes> =
        pair.desk.interest_with("robot.image", InterestSettings::new().lossless(3)).expect("interest");
    let count: Interest<u32> =
        pair.desk.interest_with("robot.count", InterestSettings::new().lossless(1000)).expect("interest");
    assert!(images.wait_interest(SOON) && counts.wait_interest(SOON));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for seed in 0..30 {
                images.send_timeout(bytes(20 * KIB * (seed % 5) + seed, seed), SOON).expect("goes on");
            }
            until("all was read", || images.interested() == 0);
        });
        scope.spawn(move || {
            for number in 0..3000 {
                counts.send_timeout(number, SOON).expect("goes on");
            }
            until("all was read", || counts.interested() == 0);
        });
        let reading = scope.spawn(move || {
            for number in 0..3000 {
                assert_eq!(*count.recv_timeout(SOON).expect("arrives"), number);
            }
        });
        for seed in 0..30 {
            let sample = image.recv_timeout(SOON).expect("arrives");
            assert!(*sample == bytes(20 * KIB * (seed % 5) + seed, seed), "image {seed} differs");
        }
        drop(image);
        reading.join().expect("all arrived");
    });
}

#[test]
fn too_large_a_message_is_refused_with_both_numbers() {
    let pair = pair_with(Kind::Tcp, |robot| robot.largest_message(5000), |desk| desk);
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let typed: Intent<Vec<u8>> = pair.robot.intent("robot.typed").expect("intent");
    let want: Interest<Bytes> = pair.desk.interest("robot.raw").expect("interest");
    let typed_want: Interest<Vec<u8>> = pair.desk.interest("robot.typed").expect("interest");
    assert!(intent.wait_interest(SOON) && typed.wait_interest(SOON));
    let error = intent.send(bytes(5001, 0)).expect_err("too large");
    assert!(error.is_too_large() && !error.is_transient());
    let text = error.to_string();
    assert!(text.contains("5001") && text.contains("5000") && text.contains("largest_message"), "{text}");
    assert_eq!(error.into_inner().len(), 5001);
    let error = intent.send_slice(&[0; 5001], SOON).expect_err("too large");
    assert!(error.is_too_large());
    let error = typed.send(vec![0; 5000]).expect_err("too large with its length");
    assert!(error.is_too_large() && error.to_string().contains("5003"), "{error}");
    intent.send(bytes(5000, 1)).expect("just fits");
    assert_eq!(*want.recv_timeout(SOON).expect("arrives"), bytes(5000, 1));
    typed.send(vec![1; 4997]).expect("just fits");
    assert_eq!(typed_want.recv_timeout(SOON).expect("arrives").len(), 4997);
}

#[test]
fn a_peer_that_takes_very_little_is_sent_no_byte_more() {
    let pair = pair_with(Kind::Tcp, |robot| robot, |desk| desk.largest_message(64));
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let wanted: Interest<Bytes> = pair.desk.interest("robot.raw").expect("interest");
    assert!(intent.wait_interest(SOON));
    assert_eq!(intent.send(bytes(65, 0)).expect("is told").worst(), Fate::TooLarge);
    intent.send(bytes(64, 1)).expect("sends");
    assert_eq!(*wanted.recv_timeout(SOON).expect("arrives"), bytes(64, 1), "and nothing before");
}

#[test]
fn a_peer_that_takes_less_is_not_sent_more() {
    let pair = pair_with(Kind::Tcp, |robot| robot, |desk| desk.largest_message(5000));
    let other = crate::support::dial("other", &pair.robot);
    let intent: Intent<Bytes> = pair.robot.intent("robot.raw").expect("intent");
    let small: Interest<Bytes> = pair.desk.interest("robot.raw").expect("interest");
    let large: Interest<Bytes> = other.interest("robot.raw").expect("interest");
    until("both are linked", || intent.interested() == 2);
    let outcome = intent.send(bytes(5001, 0)).expect("one of them takes it");
    assert_eq!((outcome.taken(), outcome.worst()), (1, Fate::TooLarge));
    let fates = intent.outcomes();
    let of_desk = fates.iter().find(|(peer, _)| {
        peer.as_ref().and_then(|peer| peer.path.as_ref()).is_some_and(|path| path.as_str() == "desk")
    });
    assert_eq!(of_desk.map(|(_, fate)| *fate), Some(Fate::TooLarge));
    assert_eq!(*large.recv_timeout(SOON).expect("arrives"), bytes(5001, 0));
    intent.send(bytes(5000, 1)).expect("sends");
    assert_eq!(*small.recv_timeout(SOON).expect("arrives"), bytes(5000, 1), "and nothing before");
    let strict: Interest<Bytes> =
        pair.desk.interest_with("robot.raw", InterestSettings::new().lossless(4)).expect("interest");
    until("all are linked", || intent.interested() == 3);
    let error = intent.send(bytes(5001, 2)).expect_err("one that must have it cannot");
    let text = error.to_string();
    assert!(error.is_too_large() && text.contains("5001") && text.contains("5000"), "{text}");
    intent.send(bytes(1, 3)).expect("sends");
    assert_eq!(*strict.recv_timeout(SOON).expect("arrives"), bytes(1, 3));
    let down =
        Watch::new(&pair.robot).all().into_iter().find(|event| matches!(event, Event::LinkDown { .. }));
    assert_eq!(down, None);
}

/// A text that the reader takes only if it is a number.
#[derive(Clone, Debug, PartialEq)]
struct Number(String);

impl Message for Number {
    const CODEC: &'static str = "number";

    fn schema() -> Result<Schema, SchemaError> {
        Schema::versioned("Number", 1)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if self.0.is_empty() {
            return Err(CodecError::new("there is nothing to encode"));
        }
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn decode(payload: Payload<'_>) -> Result<Self, CodecError> {
        let text = std::str::from_utf8(payload.as_slice()).map_err(CodecError::new)?;
        text.parse::<u32>().map_err(|error| CodecError::new(format!("`{text}`: {error}")))?;
        Ok(Number(text.to_owned()))
    }
}

fn number(text: &str) -> Number {
    Number(text.to_owned())
}

fn a_sample_that_cannot_be_decoded_costs_only_itself(kind: Kind) {
    if kind == Kind::Local {
        // Nothing is decoded there.
        return;
    }
    let pair = pair(kind);
    let intent: Intent<Number> = pair.robot.intent("robot.number").expect("intent");
    let want = |settings| -> Interest<Number> {
        pair.desk.interest_with("robot.number", settings).expect("interest")
    };
    let all = want(InterestSettings::new().lossless(2));
    let passing = want(InterestSettings::new());
    let newest = want(InterestSettings::new().latest());
    let (give, given) = channel();
    let subscription = pair
        .desk
        .on_sample("robot.number", InterestSettings::new(), move |sample: Sample<Number>| {
            let _ = give.send(sample.into_inner());
        })
        .expect("subscription");
    until("all are linked", || intent.interested() == 4);
    for round in 0..10 {
        intent.send_timeout(number("seven"), SOON).expect("goes on");
        let error = all.recv_timeout(SOON).expect_err("is no number");
        assert!(
            error.to_string().contains("`seven`") && error.to_string().contains("robot.number"),
            "{error}"
        );
        assert!(error.is_transient() && !error.is_timeout());
        until("it arrived", || newest.counts().received == 2 * round + 1);
        assert!(newest.latest().newest().is_none());
        assert!(newest.latest().newest().is_none(), "and is counted once");
        intent.send_timeout(number("7"), SOON).expect("goes on");
        assert_eq!(*all.recv_timeout(SOON).expect("arrives"), number("7"));
        assert_eq!(given.recv_timeout(SOON), Ok(number("7")));
        assert_eq!(passing.iter().next().map(Sample::into_inner), Some(number("7")));
        until("it arrived", || newest.latest().newest().is_some());
    }
    for counts in [all.counts(), passing.counts(), newest.counts(), subscription.counts()] {
        assert_eq!((counts.received, counts.undecodable), (20, 10));
    }
}

fn a_message_that_cannot_be_encoded_comes_back(kind: Kind) {
    if kind == Kind::Local {
        // Nothing is encoded there.
        return;
    }
    let pair = pair(kind);
    let intent: Intent<Number> = pair.robot.intent("robot.number").expect("intent");
    let interest: Interest<Number> = pair.desk.interest("robot.number").expect("interest");
    assert!(intent.wait_interest(SOON));
    let error = intent.send(number("")).expect_err("there is nothing to encode");
    assert!(error.to_string().contains("there is nothing to encode"), "{error}");
    assert!(!error.is_transient() && !error.is_no_credit() && !error.is_too_large());
    assert_eq!(error.into_inner(), number(""));
    intent.send(number("1")).expect("sends");
    assert_eq!(*interest.recv_timeout(SOON).expect("arrives"), number("1"));
}
