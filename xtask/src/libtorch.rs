//! Where libtorch is: the environment's, an installed PyTorch's, or the cache's.
//!
//! `tch` is bound to one version of libtorch, so a folder of any other version is passed over.

use crate::{cache, provide, record, tools};
use anyhow::{Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// The one version that the pinned `tch` accepts.
pub(crate) const VERSION: &str = "2.13.0";

/// A usable libtorch.
#[derive(Debug)]
pub(crate) struct Libtorch {
    /// Holds `include` and `lib`.
    pub(crate) folder: PathBuf,
    pub(crate) source: Source,
    /// Whether cargo's configuration had to be written for it.
    pub(crate) recorded: bool,
}

/// How it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Environment,
    Recorded,
    PyTorch,
    Cache,
    Download,
}

/// How closely the cache is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Sizes,
    Hashes,
}

impl Source {
    /// A word for reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Recorded => "recorded",
            Self::PyTorch => "pytorch",
            Self::Cache => "cache",
            Self::Download => "download",
        }
    }
}

impl Libtorch {
    fn new(folder: PathBuf, source: Source) -> Self {
        Self {
            folder,
            source,
            recorded: false,
        }
    }

    /// Lets `command` see this libtorch, whatever the caller's environment says.
    pub(crate) fn apply(&self, command: &mut Command) {
        command
            .env("LIBTORCH", &self.folder)
            .env("LIBTORCH_CXX11_ABI", record::CXX11_ABI);
    }
}

/// Finds or provides libtorch and writes cargo's configuration for it.
pub(crate) fn ensure() -> Result<Libtorch> {
    ensure_to(Depth::Sizes)
}

/// As [`ensure`], with a choice of how closely the cache is looked at.
pub(crate) fn ensure_to(depth: Depth) -> Result<Libtorch> {
    let compiler = cpp_compiler()?;
    let root = tools::root()?;
    let mut libtorch = match from_environment(&root).or_else(from_pytorch) {
        Some(found) => found,
        None => from_cache(depth)?,
    };
    if depth == Depth::Hashes && !matches!(libtorch.source, Source::Cache | Source::Download) {
        eprintln!("note: only libraries that xtask downloaded have known hashes; none was compared");
    }
    libtorch.recorded = record::write(&root, &libtorch.folder, compiler)?;
    Ok(libtorch)
}

/// What an earlier set-up or the environment names, if it is still usable.
pub(crate) fn known() -> Option<Libtorch> {
    let root = tools::root().ok()?;
    let named = env::var_os("LIBTORCH")
        .map(PathBuf::from)
        .filter(|folder| check(folder).is_ok());
    let folder = named.or_else(|| record::read(&root).filter(|folder| check(folder).is_ok()))?;
    Some(Libtorch::new(folder, Source::Recorded))
}

/// The folder of LIBTORCH. Cargo itself sets it from the recorded file, so a folder of the cache
/// is left to [`from_cache`], which looks at it more closely.
fn from_environment(root: &Path) -> Option<Libtorch> {
    let folder = PathBuf::from(env::var_os("LIBTORCH").filter(|value| !value.is_empty())?);
    let recorded = record::read(root).is_some_and(|recorded| recorded == folder);
    if folder == record::placeholder(root) || (recorded && cache::is_ours(&folder)) {
        return None;
    }
    match check(&folder) {
        Ok(()) => {
            let source = if recorded {
                Source::Recorded
            } else {
                Source::Environment
            };
            Some(Libtorch::new(folder, source))
        }
        Err(why) if recorded => {
            eprintln!(
                "note: the libtorch of {} is not usable any more: {why}",
                record::FILE
            );
            None
        }
        Err(why) => {
            eprintln!(
                "warning: LIBTORCH ({}) is not usable: {why}; looking elsewhere (unset it: plain \
                 cargo takes it before {})",
                folder.display(),
                record::FILE
            );
            None
        }
    }
}

/// Looks up an installed PyTorch without importing it, then loads its library alone.
const PROBE: &str = r#"
import ctypes, importlib.metadata, importlib.util, json, os
try:
    version = importlib.metadata.version("torch")
    spec = importlib.util.find_spec("torch")
except (importlib.metadata.PackageNotFoundError, ImportError, ValueError):
    version = spec = None
if version and spec and spec.submodule_search_locations:
    folder = list(spec.submodule_search_locations)[0]
    fault = None
    if version.split("+")[0] == "@VERSION@":
        try:
            names = ("libtorch.so", "libtorch.dylib")
            paths = [os.path.join(folder, "lib", name) for name in names]
            ctypes.CDLL(next(path for path in paths if os.path.exists(path)))
        except (OSError, StopIteration) as error:
            fault = str(error) or "no libtorch in its lib folder"
    print(json.dumps({"version": version, "folder": folder, "fault": fault}))
"#;

fn from_pytorch() -> Option<Libtorch> {
    let python = tools::find_program("python3")?;
    let output = Command::new(python)
        .args(["-c", &PROBE.replace("@VERSION@", VERSION)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let folder = PathBuf::from(answer["folder"].as_str()?);
    let version = answer["version"].as_str()?;
    let fault = match answer["fault"].as_str() {
        Some(fault) => Some(format!("its library does not load: {fault}")),
        None => has_version(version).and_then(|()| check_layout(&folder)).err(),
    };
    if let Some(fault) = fault {
        eprintln!("note: the PyTorch of python3 is not usable: {fault}");
        return None;
    }
    Some(Libtorch::new(folder, Source::PyTorch))
}

fn from_cache(depth: Depth) -> Result<Libtorch> {
    let folder = cache::folder()?;
    let problem = match cache::check(&folder, depth) {
        Ok(()) => return Ok(Libtorch::new(folder, Source::Cache)),
        Err(problem) => problem,
    };
    if folder.exists() {
        eprintln!(
            "note: {} is not complete: {problem}; getting it anew",
            folder.display()
        );
    }
    provide::provide(&folder, depth)?;
    Ok(Libtorch::new(folder, Source::Download))
}

/// Whether a folder holds the right libtorch; the message says what is wrong.
fn check(folder: &Path) -> Result<(), String> {
    if !folder.is_dir() {
        return Err("there is no such folder".to_owned());
    }
    let version = version_of(folder)
        .ok_or_else(|| format!("it names no version, needed {VERSION} (in build-version)"))?;
    has_version(&version)?;
    check_layout(folder)
}

fn has_version(version: &str) -> Result<(), String> {
    // 2.13.0+cpu is 2.13.0 for this purpose.
    let plain = version.trim().split('+').next().unwrap_or_default();
    if plain == VERSION {
        Ok(())
    } else {
        Err(format!("it is version {plain}, needed {VERSION}"))
    }
}

fn check_layout(folder: &Path) -> Result<(), String> {
    if !folder.is_absolute() {
        return Err("its path is relative, needed an absolute one".to_owned());
    }
    if !folder.join("include/torch/csrc/api/include").is_dir() {
        return Err("it has no headers in include/torch/csrc/api/include".to_owned());
    }
    let library = ["libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.dll"];
    if !library.iter().any(|name| folder.join("lib").join(name).exists()) {
        return Err("it has no libtorch_cpu in lib".to_owned());
    }
    Ok(())
}

/// `build-version` of a libtorch folder, or `version.py` of a PyTorch package.
fn version_of(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    let value = line.split('=').nth(1)?.trim();
    Some(value.trim_matches(['\'', '"']).to_owned())
}

/// What to compile C++ with where there is no `c++`, the name that build scripts assume.
const FALLBACKS: [&str; 2] = ["g++", "clang++"];

/// The C++ compiler to write into cargo's configuration: none where the usual name works.
fn cpp_compiler() -> Result<Option<&'static str>> {
    if let Some(value) = env::var("CXX").ok().filter(|value| !value.trim().is_empty()) {
        // It may carry a wrapper and flags: `ccache g++ -m64`.
        let program = value.split_whitespace().next().unwrap_or_default();
        if tools::find_program(program).is_none() {
            bail!("CXX names `{program}`, which is not a program: correct or unset it");
        }
        // Perhaps cargo set it from the recorded file: the file stays as it is.
        let ours = FALLBACKS.into_iter().find(|name| *name == value);
        return Ok(ours.filter(|_| tools::find_program("c++").is_none()));
    }
    if tools::find_program("c++").is_some() {
        return Ok(None);
    }
    match FALLBACKS
        .into_iter()
        .find(|name| tools::find_program(name).is_some())
    {
        Some(name) => Ok(Some(name)),
        None => bail!(
            "no C++ compiler (c++, g++ or clang++), which training needs: install one \
             (`apt-get install g++`, `dnf install gcc-c++`, `xcode-select --install`) or set CXX"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_without_its_build() {
        assert_eq!(has_version("2.13.0+cpu\n"), Ok(()));
        assert_eq!(has_version("2.13.0"), Ok(()));
        let wrong = has_version("2.4.1+cu121").unwrap_err();
        assert_eq!(wrong, format!("it is version 2.4.1, needed {VERSION}"));
    }

    #[test]
    fn the_version_of_a_package_is_read_from_its_source() {
        let folder = env::temp_dir().join(format!("xtask-version-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("version.py"), "x = 1\n__version__ = '2.13.0+cu130'\n").unwrap();
        assert_eq!(version_of(&folder).as_deref(), Some("2.13.0+cu130"));
        fs::write(folder.join("build-version"), "2.12.0\n").unwrap();
        assert_eq!(version_of(&folder).as_deref(), Some("2.12.0"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
