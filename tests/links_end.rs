//! What is left of a link that ended: nothing.

use bowline::{Endpoint, Fate, Intent, Interest, Reading};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

fn desk(url: &str) -> Endpoint {
    let millis = Duration::from_millis;
    Endpoint::builder("desk").connect(url).redial(millis(1), millis(20)).start().unwrap()
}

#[test]
fn a_link_that_ended_leaves_no_supplier_and_no_one_interested() {
    let robot = Endpoint::builder("robot").listen("tcp://127.0.0.1:0").start().unwrap();
    let url = robot.listening()[0].clone();
    let desk = desk(&url);
    let speed: Interest<f64> = desk.interest("robot.speed").unwrap();
    let target: Intent<f64> = desk.intent("desk.target").unwrap();
    for round in 0..3 {
        let again =
            if round == 0 { None } else { Some(Endpoint::builder("robot").listen(&url).start().unwrap()) };
        let robot = again.as_ref().unwrap_or(&robot);
        let supplied: Intent<f64> = robot.intent("robot.speed").unwrap();
        let wanted: Interest<f64> = robot.interest("desk.target").unwrap();
        assert!(supplied.wait_interest(SOON) && wanted.wait_intent(SOON), "round {round}");
        supplied.send(f64::from(round)).unwrap();
        let sample = speed.recv_timeout(SOON).unwrap();
        assert_eq!((*sample, sample.sequence()), (f64::from(round), 0));
        assert_eq!((speed.suppliers(), target.interested()), (1, 1));
        assert_eq!(target.send(1.0).unwrap().taken(), 1);
        assert_eq!(target.outcomes().len(), 1);

        assert!(robot.close(SOON));
        let until = Instant::now() + SOON;
        while (speed.suppliers() > 0 || target.interested() > 0) && Instant::now() < until {
            desk.events().recv_timeout(SOON);
        }
        assert_eq!((speed.suppliers(), target.interested()), (0, 0), "round {round}");
        assert!(matches!(speed.latest(), Reading::LinkDown(_)));
        // Until the intent is given its new list, it says of the old one what became of its link.
        while target.send(1.0).unwrap().worst() != Fate::NoInterest {
            assert_eq!(target.send(1.0).unwrap().taken(), 0, "round {round}");
            assert!(Instant::now() < until, "round {round}");
        }
    }
}
