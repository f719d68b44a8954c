//! With training, sets the run path of `cml` to libtorch's folder, so that it runs with no
//! environment variable. A missing libtorch is reported by `cml-nn`.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=LIBTORCH_LIB");
    let trains = env::var_os("CARGO_FEATURE_TRAIN").is_some();
    let Some(lib) = library_folder().filter(|_| trains) else {
        return;
    };
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os != "windows") {
        // Through -Xlinker, for paths with a comma or a space.
        for arg in ["-rpath", &lib] {
            println!("cargo::rustc-link-arg=-Xlinker");
            println!("cargo::rustc-link-arg={arg}");
        }
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // An RPATH, unlike a RUNPATH, comes before LD_LIBRARY_PATH: another libtorch there is harmless.
        println!("cargo::rustc-link-arg=-Wl,--disable-new-dtags");
    }
}

/// The `lib` folder that torch-sys links against.
fn library_folder() -> Option<String> {
    let folder = env::var("LIBTORCH_LIB").or_else(|_| env::var("LIBTORCH")).ok()?;
    let lib = PathBuf::from(folder).join("lib");
    lib.is_dir().then(|| lib.to_string_lossy().into_owned())
}
