//! The handle: bounded, ordered, and clear about what it does not know.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::api::testing::{ALICE, Disk, coin, pay};
use crate::handle::{EngineRequest, NodeHandle, REQUESTS_MAX, Stopped, SubmitError};

/// A handle whose requests wait in a list.
fn waiting() -> (NodeHandle, Arc<Mutex<Vec<EngineRequest>>>) {
    let list = Arc::new(Mutex::new(Vec::new()));
    let inbox = Arc::clone(&list);
    let send = move |request| {
        inbox.lock().expect("no test panics holding it").push(request);
        Ok(())
    };
    (NodeHandle::new(send, Arc::new(Disk::default())), list)
}

#[test]
fn no_more_requests_wait_for_the_engine_than_allowed() {
    let (handle, list) = waiting();
    let mut context = Context::from_waker(Waker::noop());
    let mut questions: Vec<_> = (0..=REQUESTS_MAX).map(|_| Box::pin(handle.query(|_| ()))).collect();
    for question in &mut questions {
        assert!(question.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(list.lock().expect("no test panics holding it").len(), REQUESTS_MAX);
    // One caller goes away; the one that waited gets its place.
    drop(questions.swap_remove(0));
    for question in &mut questions {
        let _ = question.as_mut().poll(&mut context);
    }
    assert_eq!(list.lock().expect("no test panics holding it").len(), REQUESTS_MAX + 1);
}

#[test]
fn a_batch_is_handed_over_in_order_before_the_first_answer() {
    let (handle, list) = waiting();
    let txs: Vec<_> = (0..3).map(|place| pay(ALICE, coin(ALICE, place), 10)).collect();
    let ids: Vec<_> = txs.iter().map(synod_ledger::Tx::id).collect();
    let mut results = pin!(handle.submit_all(txs));
    let mut context = Context::from_waker(Waker::noop());
    assert!(results.as_mut().poll(&mut context).is_pending());
    let taken: Vec<_> = list.lock().expect("no test panics holding it").drain(..).collect();
    let mut got = Vec::new();
    for (place, request) in taken.into_iter().enumerate() {
        let EngineRequest::Submit { tx, reply } = request else { panic!("only submits were sent") };
        got.push(tx.id());
        // The last one's reply is dropped, as by an engine that ends.
        if place < 2 {
            reply.send(Ok(tx.id())).expect("the caller waits");
        }
    }
    assert_eq!(got, ids);
    let expected = vec![Ok(ids[0]), Ok(ids[1]), Err(SubmitError::Unknown)];
    assert_eq!(results.as_mut().poll(&mut context), Poll::Ready(expected));
}

#[tokio::test]
async fn a_handle_of_an_engine_that_is_gone_says_so() {
    let handle = NodeHandle::new(|_| Err(Stopped), Arc::new(Disk::default()));
    assert_eq!(handle.query(|_| ()).await, Err(Stopped));
    assert_eq!(handle.set_faults(crate::net::Faults::default(), false).await, Err(Stopped));
    assert_eq!(handle.submit(pay(ALICE, coin(ALICE, 0), 10)).await, Err(SubmitError::Stopped(Stopped)));
}
