//! Streams whose receiver lost its place, as a length was damaged on its way; and those that are only slow.

use super::established::supplier;
use super::*;

const PING: Duration = Duration::from_millis(50);

/// What `sent` of the next PING is.
fn next_ping(peer: &RawPeer) -> Vec<u8> {
    peer.wait_for("PING", |frame| (frame.tag == frames::PING).then(|| frame.body.clone()))
}

fn pong(sent: &[u8]) -> Vec<u8> {
    frame(frames::PONG, &[sent, &[0; 16]].concat())
}

#[test]
fn a_frame_that_swallows_what_comes_after_it_ends_the_link() {
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot.ping_interval(PING));
    let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
    for begun in [head(5000, frames::INTENTS), message_head(10_000, 0), message_head(1 << 20, 0)] {
        let peer = supplier(&scene, 0);
        peer.send(&begun);
        let mut answers = 0;
        let (code, words) = loop {
            let next = peer.wait_for("PING or BYE", |frame| match frame.tag {
                frames::PING => Some(Ok(frame.body.clone())),
                _ => frame.bye().map(Err),
            });
            match next {
                // It may have hung up by now, and says why.
                Ok(sent) => drop(peer.try_send(&pong(&sent))),
                Err(bye) => break bye,
            }
            answers += 1;
            assert!(answers < 20, "it waits for the end of the frame");
        };
        assert_eq!(code, ReasonCode::Silent as u8, "{words}");
        assert!(words.contains("answers a PING"), "{words}");
        // It is not looked into before 100 ms have gone by.
        assert!(answers >= 2, "{answers}");
        let reason = scene.verdict();
        assert!(reason.is_transient() && reason.text() == words, "{reason}");
        scene.goes_on();
    }
    drop(wanted);
    scene.close();
}

#[test]
fn a_peer_in_the_middle_of_a_slow_frame_is_not_cut_off() {
    const STEPS: usize = 12;
    let _turn = turn();
    let scene = Scene::set(&unused("tcp"), |robot| robot.ping_interval(PING));
    let wanted: Interest<Bytes> = scene.robot.interest("villain.data").expect("interest");
    for size in [8_000, 200_000] {
        let peer = supplier(&scene, 0);
        // A sample may hold a frame of the past, or of another stream.
        let before = next_ping(&peer);
        let part = [pong(&before), frames::ping(7), pong(&[0xFF; 8])].concat();
        let payload: Vec<u8> = part.into_iter().cycle().take(size).collect();
        let bytes = [frames::time(1_700_000_000_000_000), frames::message(0, &payload)].concat();
        // Nothing else fits in meanwhile, no answer to a PING either.
        for step in bytes.chunks(bytes.len().div_ceil(STEPS)) {
            next_ping(&peer);
            peer.send(step);
        }
        assert!(&**wanted.recv_timeout(SOON).expect("arrives") == payload.as_slice());
        peer.send(&frames::ping(1));
        peer.wait_for("PONG", |frame| (frame.tag == frames::PONG).then_some(()));
        drop(peer);
        assert_eq!(scene.verdict().code(), ReasonCode::Lost);
    }
    drop(wanted);
    scene.close();
}
