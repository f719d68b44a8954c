use cml_data::shuffle_batches;

fn check(len: usize, batch: usize, expected_sizes: &[usize]) {
    let batches = shuffle_batches(len, batch, 3, 1);
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), expected_sizes);
    let mut rows = batches.concat();
    rows.sort_unstable();
    assert_eq!(rows, (0..len).collect::<Vec<_>>());
}

#[test]
fn every_row_is_in_one_batch() {
    check(10, 4, &[4, 4, 2]);
    check(8, 4, &[4, 4]);
    check(3, 100, &[3]);
    check(3, 1, &[1, 1, 1]);
    check(0, 4, &[]);
    check(5, 0, &[5]);
    check(0, 0, &[]);
}

#[test]
fn order_depends_on_seed_and_epoch_alone() {
    let order = |seed, epoch| shuffle_batches(100, 10, seed, epoch);
    assert_eq!(order(1, 0), order(1, 0));
    assert_ne!(order(1, 0), order(1, 1));
    assert_ne!(order(1, 0), order(2, 0));
    assert_eq!(shuffle_batches(100, 7, 1, 0).concat(), order(1, 0).concat());
}

#[test]
fn the_order_is_pinned() {
    assert_eq!(shuffle_batches(6, 3, 42, 0), [[1, 0, 4], [5, 2, 3]]);
}
