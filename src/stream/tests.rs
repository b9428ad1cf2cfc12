//! Streaming against plain element access. The data are small whole numbers, so every sum is exact in f32 and
//! results can be compared with `==`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::cpu::Cpu;
use crate::source;
use crate::tensor::{RowOrder, Values};

/// Bytes in memory; reads past the end fail as those of a file do.
#[derive(Debug)]
struct Memory(Vec<u8>);

impl Source for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), source::Error> {
        let start = usize::try_from(offset).unwrap();
        match self.0.get(start..start + buffer.len()) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(source::Error::Io {
                action: "read",
                path: "memory".into(),
                offset: Some(self.size_bytes()),
                cause: std::io::ErrorKind::UnexpectedEof.into(),
            }),
        }
    }

    fn verify_unchanged(&self) -> Result<(), source::Error> {
        Ok(())
    }
}

/// Whole numbers in [−8, 8) that look random.
fn number(index: u64, seed: u64) -> i8 {
    let mixed = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0xff51_afd7_ed55_8ccd));
    (mixed >> 60) as i8 - 8
}

/// A tensor of `n` elements that begins 24 bytes into its file.
fn stored(dtype: Dtype, n: u64, seed: u64, view: View) -> StoredView {
    let mut bytes = vec![0xff; 24];
    for index in 0..n {
        let value = f32::from(number(index, seed));
        match dtype {
            Dtype::Bf16 => bytes.extend(half::bf16::from_f32(value).to_le_bytes()),
            Dtype::F16 => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
            Dtype::F32 => bytes.extend(value.to_le_bytes()),
            Dtype::I8 => bytes.push(number(index, seed).cast_unsigned()),
            _ => bytes.extend(f64::from(value).to_le_bytes()),
        }
    }
    StoredView { file: Arc::new(Memory(bytes)), offset: 24, dtype, view }
}

fn naive(item: &WorkItem, left_seed: u64, right_seed: u64) -> PairMoments {
    let mut sums = PairMoments::default();
    let rows: Vec<(u64, u64)> = match &item.rows {
        RowPairing::Same => (0..item.left.view.n_rows).map(|row| (row, row)).collect(),
        RowPairing::Listed { left, right } => left.iter().copied().zip(right.iter().copied()).collect(),
    };
    for (left, right) in rows {
        for col in 0..item.left.view.n_cols {
            let a = f64::from(number(item.left.view.element(left, col), left_seed));
            let b = f64::from(number(item.right.view.element(right, col), right_seed));
            sums.n_elements += 1;
            sums.n_equal += u64::from(a == b);
            sums.n_same_sign += u64::from(a * b > 0.0);
            sums.sum_a += a;
            sums.sum_b += b;
            sums.sum_aa += a * a;
            sums.sum_bb += b * b;
            sums.sum_ab += a * b;
            sums.sum_squared_diff += (a - b).powi(2);
            sums.max_abs_diff = sums.max_abs_diff.max((a - b).abs() as f32);
        }
    }
    sums
}

/// Views of [n_rows, n_cols] over a tensor of `4 * n_rows * n_cols + 64` elements.
fn views(n_rows: u64, n_cols: u64) -> Vec<(&'static str, View)> {
    let whole = View::whole(n_rows, n_cols);
    let transposed = View { base: 3, row_stride: 1, col_stride: n_rows, ..whole };
    vec![
        ("whole", whole),
        ("later rows", View::rows_of(n_rows, n_rows, n_cols)),
        ("left half of wider rows", View { row_stride: 2 * n_cols, ..whole }),
        ("blocks of two rows out of three", View { block_rows: 2, block_stride: 3 * n_cols, ..whole }),
        (
            "rotary rows",
            View {
                row_order: RowOrder::InterleavedRope { head_rows: n_rows / 2, rotary_rows: n_rows / 4 * 2 },
                ..whole
            },
        ),
        ("transposed", transposed),
        ("transposed, every third", View { row_stride: 3, col_stride: 3 * n_rows, ..whole }),
    ]
}

/// The last one has more than one chunk, and more than one tile in both directions.
const SHAPES: [(u64, u64); 4] = [(8, 1), (8, 3), (64, 257), (1040, 130)];

#[test]
fn moments_of_any_two_layouts_are_those_of_the_elements() {
    let backend = Backend::Cpu(Cpu::detect());
    for (n_rows, n_cols) in SHAPES {
        let n = 4 * n_rows * n_cols + 64;
        let views = views(n_rows, n_cols);
        let mut items = Vec::new();
        for (_, left) in &views {
            for (_, right) in [&views[0], &views[3], &views[5], &views[6]] {
                let left = stored(Dtype::Bf16, n, 1, *left);
                items.push(WorkItem {
                    left,
                    right: stored(Dtype::F32, n, 2, *right),
                    rows: RowPairing::Same,
                });
            }
        }
        let found = pair_moments(&backend, &items, &ReadMeter::default(), &|_| ()).unwrap();
        for (item, found) in items.iter().zip(found) {
            assert_eq!(found, naive(item, 1, 2), "{:?} {:?}", item.left.view, item.right.view);
        }
    }
}

#[test]
fn listed_rows_are_compared_in_the_order_of_the_list() {
    let backend = Backend::Cpu(Cpu::detect());
    for (n_rows, n_cols) in SHAPES {
        let n = 4 * n_rows * n_cols + 64;
        for (_, view) in views(n_rows, n_cols) {
            let item = WorkItem {
                left: stored(Dtype::I8, n, 3, view),
                right: stored(Dtype::F64, n, 4, View::whole(n_rows, n_cols)),
                rows: RowPairing::Listed { left: [7, 0, 1, 1, 2].into(), right: [0, 3, 4, 5, 7].into() },
            };
            let found =
                pair_moments(&backend, std::slice::from_ref(&item), &ReadMeter::default(), &|_| ()).unwrap();
            assert_eq!(found, [naive(&item, 3, 4)]);
        }
    }
}

#[test]
fn rows_are_read_in_the_order_asked_for() {
    for (n_rows, n_cols) in SHAPES {
        let n = 4 * n_rows * n_cols + 64;
        let rows: Vec<u64> = (0..n_rows).rev().chain([0, 0, 3]).collect();
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::I8, Dtype::F64] {
            for (name, view) in views(n_rows, n_cols) {
                for columns in [0..n_cols, n_cols / 3..n_cols, 0..0] {
                    let stored = stored(dtype, n, 5, view);
                    let found = read_rows(&stored, &rows, columns.clone(), &ReadMeter::default()).unwrap();
                    assert_eq!(matches!(found.values, Values::Bf16(_)), dtype == Dtype::Bf16);
                    assert_eq!(
                        (found.n_rows as u64, found.n_cols as u64),
                        (rows.len() as u64, columns.end - columns.start)
                    );
                    for (row_idx, &row) in rows.iter().enumerate() {
                        for (col_idx, col) in columns.clone().enumerate() {
                            let wanted = f32::from(number(view.element(row, col), 5));
                            assert_eq!(found.at(row_idx, col_idx), wanted, "{name} {row} {col}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn rows_longer_than_a_chunk_are_cut() {
    let (n_rows, n_cols) = (2, 70_000);
    let item = WorkItem {
        left: stored(
            Dtype::F32,
            2 * n_rows * n_cols,
            1,
            View { row_stride: 2 * n_cols, ..View::whole(n_rows, n_cols) },
        ),
        right: stored(Dtype::F32, n_rows * n_cols, 2, View::whole(n_rows, n_cols)),
        rows: RowPairing::Same,
    };
    let backend = Backend::Cpu(Cpu::detect());
    let found = pair_moments(&backend, std::slice::from_ref(&item), &ReadMeter::default(), &|_| ()).unwrap();
    assert_eq!(found, [naive(&item, 1, 2)]);
}

#[test]
fn bytes_of_one_contiguous_pair_are_asked_for_once() {
    let (n_rows, n_cols) = (1000, 1000);
    let view = View::whole(n_rows, n_cols);
    let item = WorkItem {
        left: stored(Dtype::Bf16, n_rows * n_cols, 1, view),
        right: stored(Dtype::F32, n_rows * n_cols, 2, view),
        rows: RowPairing::Same,
    };
    let (meter, done) = (ReadMeter::default(), AtomicU64::new(0));
    let progress = |bytes: u64| {
        done.fetch_max(bytes, Ordering::Relaxed);
    };
    pair_moments(&Backend::Cpu(Cpu::detect()), &[item], &meter, &progress).unwrap();
    assert_eq!(meter.requested_bytes.load(Ordering::Relaxed), 6_000_000);
    assert_eq!(done.load(Ordering::Relaxed), 6_000_000);
    // 16 chunks of each side, off the page boundary by 24 bytes: at most one page more each, and one for the ends
    let page_bytes = meter.page_bytes.load(Ordering::Relaxed);
    assert!((6_000_000..6_000_000 + 2 * 17 * 4096).contains(&page_bytes), "{page_bytes}");
}

#[test]
fn distant_rows_cost_only_their_own_bytes_and_pages() {
    // rows of 16 KiB, every tenth
    let stored = stored(Dtype::Bf16, 8192 * 100, 1, View::whole(100, 8192));
    let rows: Vec<u64> = (0..10).map(|index| index * 10).collect();
    let meter = ReadMeter::default();
    read_rows(&stored, &rows, 0..8192, &meter).unwrap();
    assert_eq!(meter.requested_bytes.load(Ordering::Relaxed), 10 * 16384);
    // 24 bytes off: five pages instead of four
    assert_eq!(meter.page_bytes.load(Ordering::Relaxed), 10 * 5 * 4096);
}

#[test]
fn class_counts_cover_every_element_once() {
    let backend = Backend::Cpu(Cpu::detect());
    for (n_rows, n_cols) in SHAPES {
        let n = 4 * n_rows * n_cols + 64;
        let items: Vec<StoredView> =
            views(n_rows, n_cols).iter().map(|(_, view)| stored(Dtype::F16, n, 6, *view)).collect();
        let found = class_counts(&backend, &items, &ReadMeter::default(), &|_| ()).unwrap();
        for (item, found) in items.iter().zip(found) {
            let mut n_zero = 0;
            for row in 0..n_rows {
                n_zero +=
                    (0..n_cols).filter(|&col| number(item.view.element(row, col), 6) == 0).count() as u64;
            }
            assert_eq!((found.n_elements, found.n_zero), (n_rows * n_cols, n_zero), "{:?}", item.view);
        }
    }
}

#[test]
fn a_file_that_is_too_short_is_an_error() {
    let view = View::whole(100, 100);
    let item = WorkItem {
        left: stored(Dtype::Bf16, 100 * 100, 1, view),
        right: stored(Dtype::Bf16, 100 * 100 - 1, 1, view),
        rows: RowPairing::Same,
    };
    let backend = Backend::Cpu(Cpu::detect());
    assert!(pair_moments(&backend, std::slice::from_ref(&item), &ReadMeter::default(), &|_| ()).is_err());
    assert!(
        class_counts(&backend, &[item.left, item.right.clone()], &ReadMeter::default(), &|_| ()).is_err()
    );
    assert!(read_rows(&item.right, &[99], 0..100, &ReadMeter::default()).is_err());
}

#[test]
fn reading_ahead_gives_what_the_workers_give() {
    let sizes = Sizes { chunk_bytes: 10_000, chunks_per_task: 3 };
    let (n_rows, n_cols) = (520, 700);
    let items: Vec<WorkItem> = views(n_rows, n_cols)
        .iter()
        .map(|(_, view)| WorkItem {
            left: stored(Dtype::Bf16, 4 * n_rows * n_cols + 64, 1, *view),
            right: stored(Dtype::Bf16, n_rows * n_cols, 2, View::whole(n_rows, n_cols)),
            rows: RowPairing::Same,
        })
        .collect();
    let walks: Vec<Walk<'_>> = items.iter().map(|item| Walk::of_pair(item, sizes)).collect();
    let tasks = plan::tasks(&walks, sizes);
    let (meter, cpu) = (ReadMeter::default(), Cpu::detect());
    let add = |total: &mut PairMoments, idx: usize, sides: [&[u8]; 2]| {
        total.add(&cpu.moments(elements(&items[idx].left, sides[0]), elements(&items[idx].right, sides[1])));
    };
    let done = Done::new(&|_| ());
    let in_parallel = workers::run(&walks, &tasks, &meter, &done, add).unwrap();
    let steps = ahead::Steps {
        start: |_, _: [&[u8]; 2]| (),
        finish: |total: &mut PairMoments, idx, (), sides: [&[u8]; 2]| {
            add(total, idx, sides);
            Ok(())
        },
    };
    assert_eq!(ahead::run(&walks, &tasks, &meter, &done, steps).unwrap(), in_parallel);
}

#[expect(clippy::print_stdout, reason = "says what the machine does not let it check")]
#[test]
fn what_comes_past_the_cache_gives_the_same_sums() {
    use crate::source::LocalFile;
    use std::io::Write;
    let n_elements = 5_000_003_u64;
    let bytes_of = |size: usize, lead: usize, seed: u64| -> Vec<u8> {
        let values = (0..n_elements).flat_map(|index| f32::from(number(index, seed)).to_le_bytes());
        let of_size = values.enumerate().filter(|(at, _)| at % 4 >= 4 - size).map(|(_, byte)| byte);
        std::iter::repeat_n(0, lead).chain(of_size).collect()
    };
    // two types, so that the pieces of the sides differ, and places that no page begins at
    let forms = [(Dtype::Bf16, 2, 40), (Dtype::F32, 4, 8)];
    let sides = forms.map(|(dtype, size, lead)| (dtype, lead, bytes_of(size, lead, lead as u64)));
    let item = |files: [Arc<dyn Source>; 2]| {
        let [left, right] = files;
        let view = |file, side: usize| StoredView {
            file,
            offset: sides[side].1 as u64,
            dtype: sides[side].0,
            view: View::whole(1, n_elements),
        };
        WorkItem { left: view(left, 0), right: view(right, 1), rows: RowPairing::Same }
    };
    let sums = |files| {
        let meter = ReadMeter::default();
        let found = pair_moments(&Backend::Cpu(Cpu::detect()), &[item(files)], &meter, &|_| ()).unwrap();
        (found, meter.requested_bytes.load(Ordering::Relaxed), meter.past_cache_bytes.load(Ordering::Relaxed))
    };
    let (wanted, wanted_bytes, past_cache) =
        sums([0, 1].map(|side: usize| Arc::new(Memory(sides[side].2.clone())) as Arc<dyn Source>));
    assert_eq!(past_cache, 0, "memory has no cache to pass by");
    let on_disk = [0, 1].map(|side: usize| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&sides[side].2).unwrap();
        file
    });
    let opened = [0, 1].map(|side: usize| Arc::new(LocalFile::open(on_disk[side].path()).unwrap()));
    let is_cold = opened.iter().all(|file| file.forget_cached() && file.is_uncached(file.size_bytes() - 1));
    // the first run passes the cache by, the second goes through it, the third finds everything there, if nobody else needs memory
    for run in 0..3 {
        if run == 0 && is_cold {
            assert!(opened.iter().all(|file| file.forget_cached()));
        }
        let (found, n_bytes, past_cache) = sums(opened.clone().map(|file| file as Arc<dyn Source>));
        assert_eq!((&found, n_bytes), (&wanted, wanted_bytes), "run {run}");
        if run == 0 && !is_cold {
            println!("skipped: these files always lie in memory");
        }
        assert!(past_cache > 0 || run > 0 || !is_cold, "some of it passes by the cache");
    }
}

#[test]
fn one_and_four_threads_give_the_same_sums() {
    let backend = Backend::Cpu(Cpu::detect());
    let view = View::whole(1500, 1000);
    let noise = |seed: u64| {
        let values =
            (0..1_500_000).map(|index| f32::from(number(index, seed)) * 0.1 + 1.0 / (index + 1) as f32);
        StoredView {
            file: Arc::new(Memory(values.flat_map(f32::to_le_bytes).collect())),
            offset: 0,
            dtype: Dtype::F32,
            view,
        }
    };
    let item = WorkItem { left: noise(1), right: noise(2), rows: RowPairing::Same };
    let with_threads = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            pair_moments(&backend, std::slice::from_ref(&item), &ReadMeter::default(), &|_| ()).unwrap()
        })
    };
    assert_eq!(with_threads(1), with_threads(4));
}

#[test]
fn the_digest_is_that_of_all_bytes() {
    for n in [0, 1, 9 << 20] {
        let bytes: Vec<u8> = (0..n).map(|index| number(index, 9).cast_unsigned()).collect();
        let wanted = blake3::hash(&bytes).to_hex().to_string();
        let meter = ReadMeter::default();
        assert_eq!(digest(&Memory(bytes), &meter).unwrap(), wanted);
        assert_eq!(meter.requested_bytes.load(Ordering::Relaxed), n);
    }
}

/// Counts how many threads read at a time; each read waits far longer than its sums take.
#[derive(Debug)]
struct Slow {
    inner: Memory,
    n_reading: AtomicU64,
    most_reading: AtomicU64,
}

impl Source for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), source::Error> {
        let n_reading = self.n_reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_reading.fetch_max(n_reading, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(1));
        self.n_reading.fetch_sub(1, Ordering::SeqCst);
        self.inner.read_at(offset, buffer)
    }

    fn verify_unchanged(&self) -> Result<(), source::Error> {
        Ok(())
    }
}

#[test]
fn a_slow_source_gets_more_readers_and_the_same_sums() {
    let (n_rows, n_cols) = (1024, 4096);
    let view = || View::whole(n_rows, n_cols);
    let slow = |seed| {
        let fast = stored(Dtype::I8, n_rows * n_cols, seed, view());
        let mut bytes = vec![0; usize::try_from(fast.file.size_bytes()).unwrap()];
        fast.file.read_at(0, &mut bytes).unwrap();
        let (n_reading, most_reading) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Slow { inner: Memory(bytes), n_reading, most_reading })
    };
    let (left, right) = (slow(1), slow(2));
    let of = |file: &Arc<Slow>| StoredView {
        file: Arc::clone(file) as Arc<dyn Source>,
        offset: 24,
        dtype: Dtype::I8,
        view: view(),
    };
    let item = WorkItem { left: of(&left), right: of(&right), rows: RowPairing::Same };
    // a task each, of sixteen chunks: one asks for help early, and there is work left for the helper
    let items = vec![item; 4];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let found = pool.install(|| {
        pair_moments(&Backend::Cpu(Cpu::detect()), &items, &ReadMeter::default(), &|_| ()).unwrap()
    });
    let wanted = naive(&items[0], 1, 2);
    assert!(found.iter().all(|sums| *sums == wanted));
    // one thread and no more would be 1
    assert!(left.most_reading.load(Ordering::SeqCst).max(right.most_reading.load(Ordering::SeqCst)) > 1);
}
