//! How much may be under way on a line of unknown speed (RFC 5681).

/// The congestion window, in bytes.
pub(super) struct Congestion {
    window: usize,
    threshold: usize,
    packet: usize,
    most: usize,
    /// What fits into a whole window of acknowledgements before it grows by a packet.
    acknowledged: usize,
}

impl Congestion {
    pub(super) fn new(packet: usize, most: usize) -> Self {
        let most = most.max(2 * packet);
        Self { window: (FIRST * packet).min(most), threshold: most, packet, most, acknowledged: 0 }
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn acknowledged(&mut self, bytes: usize) {
        if self.window < self.threshold {
            self.window += bytes;
        } else {
            self.acknowledged += bytes;
            if self.acknowledged >= self.window {
                self.acknowledged -= self.window;
                self.window += self.packet;
            }
        }
        self.window = self.window.min(self.most);
    }

    /// Something was lost: once for each window of data.
    pub(super) fn lost(&mut self, flying: usize) {
        self.threshold = (flying / 2).max(2 * self.packet);
        self.window = self.threshold;
        self.acknowledged = 0;
    }

    /// Nothing came through for a while.
    pub(super) fn expired(&mut self, flying: usize) {
        self.threshold = (flying / 2).max(2 * self.packet);
        self.window = self.packet;
        self.acknowledged = 0;
    }
}

/// How many packets may be under way at first.
const FIRST: usize = 10;
