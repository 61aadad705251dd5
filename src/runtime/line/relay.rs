//! A line as samples of other lines are passed on to it.

use super::{Line, Out, is_calm};
use crate::delivery::Delivery;
use crate::flow::batch::Batch;
use crate::flow::lane::Missing;
use crate::flow::outbox::{Onward, Outgoing, Put};
use crate::priority::Priority;
use crate::runtime::feed::Feed;
use crate::time::Timestamp;
use crate::wire::control::{Control, Credit};
use std::sync::Arc;

impl Line {
    /// Makes a lane for what comes by `feed`.
    pub(crate) fn open_relay(
        &self,
        alias: u32,
        (delivery, priority): (Delivery, Priority),
        feed: Arc<Feed>,
        packed: bool,
    ) {
        self.connection.lane(alias, delivery.is_lossless());
        self.connection.priority(alias, priority);
        let mut out = self.out.lock();
        out.outbox.open_relay(alias, delivery, priority);
        if packed {
            out.outbox.set_packed(alias);
        }
        let place = alias as usize;
        if out.routes.len() <= place {
            out.routes.resize_with(place + 1, || None);
        }
        out.routes[place] = Some(feed.route.clone());
        out.feeds.insert(alias, feed);
    }

    /// Sends a sample that another line brought, and never waits. False where it must not be lost, and there is
    /// no room to keep it.
    pub(crate) fn forward(
        &self,
        (alias, feed): (u32, &Arc<Feed>),
        sample: Outgoing<'_>,
        sent: Timestamp,
        spare: &mut Batch,
    ) -> bool {
        let mut out = self.out.lock();
        if !out.is_fed_by(alias, feed) {
            return true;
        }
        let put = out.outbox.forward(alias, sample, sent, || self.clock.now());
        // Room is granted where it is made: here, or where the writer makes it.
        let fed = out.fed(alias, Onward::Room);
        match put {
            Put::Inline if is_calm(out.outbox.now()) => {
                out.outbox.take_inline(spare);
                self.write_inline(out, spare);
            }
            Put::NoRoom => return false,
            _ => self.wake_after(out),
        }
        if let Some((feed, credit)) = fed {
            feed.grant(credit);
        }
        true
    }

    /// Notes samples that went missing before another line brought them.
    pub(crate) fn forward_missing(&self, (alias, feed): (u32, &Arc<Feed>), missing: Missing) {
        let mut out = self.out.lock();
        if !out.is_fed_by(alias, feed) {
            return;
        }
        out.outbox.forward_missing(alias, missing);
        let fed = out.fed(alias, Onward::Room);
        self.wake_after(out);
        if let Some((feed, credit)) = fed {
            feed.grant(credit);
        }
    }

    /// Passes on that the interest at the far end is cut off.
    pub(crate) fn forward_stalled(&self, (alias, feed): (u32, &Arc<Feed>), untaken: u64) {
        let mut out = self.out.lock();
        if out.is_fed_by(alias, feed) {
            out.outbox.in_line(&Control::Stalled { alias, untaken });
            self.wake_after(out);
        }
    }

    /// Tells the line from which samples come what was lost since.
    pub(crate) fn pass_losses(&self, alias: u32) {
        let fed = self.out.lock().fed(alias, Onward::Losses);
        if let Some((feed, credit)) = fed {
            feed.grant(credit);
        }
    }

    /// Sends the newest credit of a feed that begins on this line.
    pub(crate) fn send_onward(&self, feed: &Feed) {
        self.send_credit(|| feed.credit(), &feed.ended);
    }
}

impl Out {
    /// Whether a lane is still that of a feed: it may have ended, and its alias stand for another pair by now.
    fn is_fed_by(&self, alias: u32, feed: &Arc<Feed>) -> bool {
        self.feeds.get(&alias).is_some_and(|own| Arc::ptr_eq(own, feed))
    }

    /// The credit a lane passes on, and to whom.
    pub(super) fn fed(&mut self, alias: u32, why: Onward) -> Option<(Arc<Feed>, Credit)> {
        let feed = self.feeds.get(&alias)?;
        let credit = self.outbox.onward(alias, why)?;
        Some((Arc::clone(feed), credit))
    }

    /// The same of all lanes that were unparked.
    pub(super) fn take_fed(&mut self) -> Vec<(Arc<Feed>, Credit)> {
        let moved = self.outbox.take_moved();
        moved.into_iter().filter_map(|alias| self.fed(alias, Onward::Room)).collect()
    }
}
