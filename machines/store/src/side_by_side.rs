//! Work on many things at once, for a start that has thousands of records to read.

use std::num::NonZero;

/// Fewer things than this are not worth a thread.
const WORTH_A_THREAD: usize = 256;

/// More processors than this are left to others.
const MOST: usize = 8;

/// Does `work` on every thing, on as many threads as there are processors; the results are in order.
pub(crate) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    let threads = processors.min(things.len() / WORTH_A_THREAD);
    if threads < 2 {
        return things.iter().map(work).collect();
    }
    let share = |part: &[T]| part.iter().map(&work).collect::<Vec<R>>();
    std::thread::scope(|scope| {
        let mut parts = things.chunks(things.len().div_ceil(threads));
        let first = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| scope.spawn(move || share(part))).collect();
        let mut done = share(first);
        for other in others {
            // A panic goes on where it would have without threads.
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_however_many_threads_there_are() {
        for count in [0, 1, WORTH_A_THREAD, WORTH_A_THREAD * 3 + 1] {
            let things: Vec<usize> = (0..count).collect();
            assert_eq!(map(&things, |thing| thing * 2), (0..count).map(|n| n * 2).collect::<Vec<_>>());
        }
    }
}
