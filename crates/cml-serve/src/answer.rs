//! Results on their way to the caller: they keep the job's place until the connection is done with them.

use crate::ticket::Ticket;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Bytes handed out at a time: what a connection has beside what the system has.
const PIECE: usize = 16 << 10;

/// The body of an answer with results.
pub(crate) struct Answer {
    ticket: Arc<Ticket>,
    left: Bytes,
}

/// Results, and the job whose place within the limits they take. Pieces of them have it too.
struct Held {
    results: Bytes,
    _ticket: Arc<Ticket>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.results
    }
}

impl Answer {
    pub(crate) fn new(ticket: &Arc<Ticket>, results: Bytes) -> Self {
        let held = Held {
            results,
            _ticket: Arc::clone(ticket),
        };
        Self {
            ticket: Arc::clone(ticket),
            left: Bytes::from_owner(held),
        }
    }

    pub(crate) fn body(self) -> Body {
        Body::new(self)
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = this.left.split_to(this.left.len().min(PIECE));
        if this.left.is_empty() {
            // An answer that breaks off before can be fetched again.
            this.ticket.deliver();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokens;
    use crate::config::Limits;
    use crate::desk::Desk;

    #[test]
    fn what_was_handed_out_to_its_end_is_delivered_and_what_is_held_counts() {
        let caller = Tokens::none().caller(None, [10, 0, 0, 1].into());
        let desk = Desk::new(&Limits::default());
        let permit = desk.admit(caller.unwrap(), 100).unwrap();
        let ticket = Arc::new(Ticket::new([1; 16], permit));
        let results = Bytes::from(vec![7; 2 * PIECE + 1]);
        assert!(ticket.begin());
        ticket.end(Ok(results.clone()));
        let start = || Answer::new(&ticket, results.clone());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut next = |answer: &mut Answer| match Pin::new(answer).poll_frame(&mut context) {
            Poll::Ready(piece) => piece.map(|piece| piece.unwrap().into_data().unwrap()),
            Poll::Pending => panic!("nothing to wait for"),
        };
        let mut broken = start();
        assert_eq!(broken.size_hint().exact(), Some(results.len() as u64));
        assert_eq!(next(&mut broken).unwrap().len(), PIECE);
        assert_eq!(next(&mut broken).unwrap().len(), PIECE);
        drop(broken);
        assert!(!ticket.is_delivered());

        let mut whole = start();
        let pieces: Vec<_> = std::iter::from_fn(|| next(&mut whole)).collect();
        assert!(whole.is_end_stream() && pieces.concat() == results);
        assert!(ticket.is_delivered());
        drop((ticket, whole));
        assert_eq!(desk.bytes(), 100);
        drop(pieces);
        assert_eq!(desk.bytes(), 0);
    }
}
