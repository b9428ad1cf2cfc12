//! Tensor-name lists of real families (`tests/fixtures/names`): names and shapes of two layers, small widths, and what each tensor is.

use std::fs;
use std::path::Path;

use cognate::checkpoint::Config;
use cognate::tensor::Dtype;

/// A parsed fixture.
pub(crate) struct Fixture {
    pub(crate) family: String,
    pub(crate) config: Config,
    /// Name, shape, type, expectation.
    pub(crate) tensors: Vec<(String, Vec<u64>, Dtype, String)>,
}

impl Fixture {
    fn read(path: &Path) -> Fixture {
        let text = fs::read_to_string(path).expect("fixtures are readable");
        let mut fixture = Fixture { family: String::new(), config: Config::default(), tensors: Vec::new() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once(" = ") {
                Some((tensor, wanted)) => fixture.push(tensor, wanted),
                None => fixture.set(line),
            }
        }
        fixture
    }

    fn push(&mut self, tensor: &str, wanted: &str) {
        let mut words = tensor.split_whitespace();
        let name = words.next().expect("a tensor has a name").to_owned();
        let shape = words.next().expect("a tensor has a shape");
        let dtype = words.next().map_or(Dtype::F32, |word| Dtype::from_name(word).expect("a known type"));
        let inner = shape.trim_matches(|c| c == '[' || c == ']');
        let dims =
            inner.split(',').filter(|dim| !dim.is_empty()).map(|dim| dim.parse().expect("a dimension"));
        self.tensors.push((name, dims.collect(), dtype, wanted.to_owned()));
    }

    fn set(&mut self, line: &str) {
        let (key, value) = line.split_once(": ").expect("a setting is `key: value`");
        let number = || Some(value.parse().expect("a number"));
        match key {
            "family" => self.family = value.to_owned(),
            "model_type" => self.config.model_type = Some(value.to_owned()),
            "hidden_size" => self.config.hidden_size = number(),
            "n_heads" => self.config.n_heads = number(),
            "n_kv_heads" => self.config.n_kv_heads = number(),
            "head_dim" => self.config.head_dim = number(),
            "rotary_dim" => self.config.rotary_dim = number(),
            _ => panic!("unknown setting {key}"),
        }
    }
}

/// Every fixture with its name.
pub(crate) fn fixtures() -> Vec<(String, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/names");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), Fixture::read(path)))
        .collect()
}
