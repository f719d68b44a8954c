//! The kernels by precision, and tfhe's own batch function beside ours.
//!
//! `cargo xtask bench --kernels`, or `cargo bench -p cml-tfhe --bench kernels -- FILTER`.

mod ours;
mod theirs;

use criterion::{Criterion, SamplingMode};
use ours::Kit;
use std::time::Duration;

/// Lookups of a batch: what one thread gets of a large layer.
const BATCH: usize = 8;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // One thread: kernels are compared with each other, not with the number of cores.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("a pool of one thread").install(|| {
        let mut criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(2))
            .sample_size(10)
            .without_plots()
            .configure_from_args();
        // Criterion's filter knows nothing of keys, which take longer to draw than to use.
        let filters: Vec<&String> = args[1..].iter().filter(|arg| arg.contains("_bits")).collect();
        for bits in 3..=8 {
            let group = format!("{bits}_bits");
            if filters.is_empty() || filters.iter().any(|filter| filter.contains(&group)) {
                kernels(&mut criterion, bits);
            }
        }
        criterion.final_summary();
    });
}

fn kernels(criterion: &mut Criterion, bits: u32) {
    let (parameters, extension) = ours::parameters(bits);
    println!(
        "parameters {bits}_bits {parameters}, table {extension} x {}",
        parameters.polynomial_size
    );
    let kit = Kit::new(&parameters, extension);
    let mut group = criterion.benchmark_group(format!("{bits}_bits"));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("keyswitch", |b| b.iter_custom(|n| kit.parts(n).0));
    group.bench_function("blind_rotation", |b| b.iter_custom(|n| kit.parts(n).1));
    group.bench_function("lookup", |b| b.iter(|| kit.lookup()));
    group.bench_function(format!("lookup_batch_of_{BATCH}"), |b| {
        b.iter(|| kit.lookup_many(BATCH));
    });
    group.bench_function("linear_30_terms", |b| b.iter(|| kit.linear(30)));
    drop(kit);
    let mut peer = theirs::Batch::new(bits, BATCH);
    group.bench_function(format!("tfhe_batch_of_{BATCH}"), |b| b.iter(|| peer.run()));
    group.finish();
}
