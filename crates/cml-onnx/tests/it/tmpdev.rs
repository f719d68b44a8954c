use crate::world::differing;
#[test]
fn dev() {
    let Ok(dir) = std::env::var("DEVDIR") else { return };
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    for f in files {
        let name = f
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        match cml_onnx::import(&f) {
            Err(e) => println!("{}: ERR {e}", f.display()),
            Ok(i) => {
                let base = format!("{dir}/{name}");
                let r = std::panic::catch_unwind(|| differing(&i.network, &base));
                match r {
                    Ok((n, d)) => println!("{}: {}/{} differ {:?}", f.display(), d.len(), n, d.first()),
                    Err(_) => println!("{}: PANIC", f.display()),
                }
            }
        }
    }
}
