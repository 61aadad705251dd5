use super::*;
use crate::proto::LinkState;
use crate::proto::testbed::{Bed, declaration, settings};

#[test]
fn smoke() {
    let mut bed = Bed::new(&["desk", "robot.arm"]);
    bed.interest(0, 0, "Imu@robot.arm.imu", 1);
    bed.intent(1, 0, "Imu@robot.arm.imu", 1);
    let link = bed.dial(0, "memory://robot.arm/robot.arm");
    for place in 0..2 {
        for action in &bed.actions[place] {
            println!("{place} {action:?}");
        }
        bed.actions[place].clear();
    }
    bed.pass(Duration::from_secs(3));
    bed.cut(0, link);
    bed.pass(Duration::from_secs(3));
    for place in 0..2 {
        for action in &bed.actions[place] {
            println!("{place} {action:?}");
        }
    }
}
