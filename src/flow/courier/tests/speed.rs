//! How much gets through.

use super::*;

/// Bytes of payload that a lossless flow carries in 30 s, and what went over the line for it.
fn carried(settings: Settings, loss: u64, delay: u64) -> (u64, u64) {
    let weather = Weather { loss, doubled: 0, delay, jitter: 200, fifo: settings.fifo };
    let mut bench = Bench::new(settings, weather, 5);
    bench.greet();
    bench.link(0, 4, true);
    bench.run(START + Duration::from_secs(3), 4096);
    let (mut carried, begin) = (0, bench.now);
    let end = begin + Duration::from_secs(30);
    while bench.now < end {
        let now = bench.now;
        while bench.sides[0].outbox.len() < 8000 {
            bench.sides[0].message(now, 4, &[9; 100]);
        }
        bench.run((now + Duration::from_millis(5)).min(end), 4096);
        for got in bench.sides[1].got.drain(..) {
            if let Got::Message { payload, .. } = got {
                carried += payload.len() as u64;
            }
        }
    }
    (carried, bench.sides[0].bytes_out)
}

#[test]
fn a_slow_serial_line_with_errors_carries_nearly_as_much_as_a_clean_one() {
    let (clean, bytes) = carried(serial(11_520), 0, 100);
    let (errors, _) = carried(serial(11_520), 10, 100);
    println!(
        "11,520 B/s, 30 s: {clean} B of payload without errors ({:.1} % of the line, {bytes} B on it), \
         {errors} B with 1 % of the packets lost: {:.3}",
        clean as f64 / 3456.0,
        errors as f64 / clean as f64
    );
    assert!(clean > 8 * 11_520 * 30 / 10, "{clean}");
    assert!(errors * 10 >= clean * 9, "{errors} of {clean}");
}

#[test]
fn udp_with_loss_goes_on() {
    let (clean, _) = carried(udp(), 0, 500);
    let (errors, _) = carried(udp(), 10, 500);
    println!("UDP, round trip 1.2 ms, 30 s: {clean} B, {errors} B with 1 % lost");
    assert!(errors * 10 > clean, "{errors} of {clean}");
}
