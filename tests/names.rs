//! Tensor-name lists of real families become the roles that their modelling code gives them, with nothing left over.
//!
//! A fixture holds names and shapes of two layers, small widths, and after `=` what each tensor is:
//! `component.layer.part`, `.bias`, `@expert`, and rows × columns of the canonical matrix.

use std::fs;
use std::path::Path;

use cognate::checkpoint::Config;
use cognate::roles::{Assignment, Expert, Header, How, Role, RoleMap, assign_headers};
use cognate::tensor::Dtype;

/// A parsed fixture.
struct Fixture {
    family: String,
    config: Config,
    /// Name, shape, type, expectation.
    tensors: Vec<(String, Vec<u64>, Dtype, String)>,
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

    fn roles(&self, config: Option<&Config>) -> RoleMap {
        let header = |(name, shape, dtype, _): &'_ (String, Vec<u64>, Dtype, String)| {
            (name.clone(), shape.clone(), *dtype)
        };
        let owned: Vec<_> = self.tensors.iter().map(header).collect();
        let headers: Vec<Header<'_>> =
            owned.iter().map(|(name, shape, dtype)| Header { name, shape, dtype: *dtype }).collect();
        assign_headers(&headers, config)
    }
}

/// `text.0.q.bias@3`.
fn shown(role: &Role) -> String {
    let mut text = format!("{:?}", role.component).to_lowercase();
    if let Some(layer) = role.layer {
        text += &format!(".{layer}");
    }
    text += &format!(".{:?}", role.part).to_lowercase();
    if role.is_bias {
        text += ".bias";
    }
    match role.expert {
        Expert::None => {}
        Expert::Routed(expert) => text += &format!("@{expert}"),
        Expert::Shared(expert) => text += &format!("@shared{expert}"),
    }
    text
}

fn told(assignment: &Assignment) -> String {
    match assignment {
        Assignment::Views(views) => {
            let view = |(role, view): &(Role, cognate::tensor::View)| {
                format!("{}:{}x{}", shown(role), view.n_rows, view.n_cols)
            };
            views.iter().map(view).collect::<Vec<_>>().join(" ")
        }
        Assignment::FixedByArchitecture(_) => "fixed".into(),
        Assignment::Buffer(_) => "buffer".into(),
        Assignment::UnknownLayout(reason) => format!("unmeasured ({reason})"),
        Assignment::Unknown(_) => "unknown".into(),
    }
}

fn fixtures() -> Vec<(String, Fixture)> {
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

#[test]
fn every_tensor_of_every_family_gets_its_role() {
    let mut wrong = Vec::new();
    for (name, fixture) in fixtures() {
        let map = fixture.roles(Some(&fixture.config));
        if map.family != fixture.family {
            wrong.push(format!("{name}: family {} instead of {}", map.family, fixture.family));
        }
        assert_eq!(map.assignments.len(), fixture.tensors.len());
        for ((tensor, _, _, wanted), (found, how)) in fixture.tensors.iter().zip(&map.assignments) {
            if told(found) != *wanted || (*how != How::Table && wanted != "buffer") {
                wrong.push(format!("{name}: {tensor} is {} ({how:?}) instead of {wanted}", told(found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
