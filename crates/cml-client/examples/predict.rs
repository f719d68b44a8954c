//! Encrypted predictions by a server: `cargo run --example predict -- URL 0.3,-0.7 0.9,0.1`.

use cml_client::{KeyStore, Options, Service};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args
        .next()
        .ok_or("usage: predict URL ROW..., a row is numbers with commas")?;
    let parse = |row: String| row.split(',').map(|x| x.trim().parse::<f32>()).collect();
    let rows = args.map(parse).collect::<Result<Vec<_>, _>>()?;

    let service = Service::connect(&url, Options::default())?;
    let keys = KeyStore::open("keys".as_ref())?;
    let session = service.session(None, &keys, &mut |_| {})?;
    for prediction in session.predict(&rows)? {
        println!("{} {:?}", prediction.label, prediction.scores);
    }
    Ok(())
}
