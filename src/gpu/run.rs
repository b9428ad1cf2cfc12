//! One dispatch: upload, run, read back, each inside error scopes and with a time limit.

use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::pool::Loan;
use super::{DeviceInfo, Error, Gpu, Kernel};

/// Content of every output word before a kernel runs: a NaN with a payload that no computation makes.
pub(super) const UNWRITTEN: u32 = 0x7fc0_c06e;

/// Uploads end in zeros up to a multiple of this: whole quads of any element type.
const UPLOAD_PAD_BYTES: usize = 64;
/// A dispatch is sized for 50 ms; a software adapter on a busy machine may need a thousand times that.
const LIMIT_S: u64 = 60;
/// Words written at a time when marking outputs.
const MARK_WORDS: usize = 1 << 16;

/// Label of the kernel, and the pipeline constants by name.
pub(super) type PipelineKey = (&'static str, Vec<(&'static str, u32)>);

/// Callers that use the device at the same time: one uploads while the other computes.
const MAX_TURNS: usize = 2;

/// Counts the callers that use the device.
#[derive(Debug, Default)]
pub(super) struct Turns {
    n_taken: Mutex<usize>,
    given_back: Condvar,
}

/// The right to hold device memory; given back on drop.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.n_taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.given_back.notify_one();
    }
}

/// Bytes in device memory, readable by kernels.
#[derive(Debug)]
pub(crate) struct Resident {
    loan: Loan,
    binding_bytes: u64,
}

/// One dispatch of a kernel. Bindings in order: params, inputs, outputs.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) kernel: &'static Kernel,
    /// Values of the pipeline-overridable constants.
    pub(crate) constants: &'a [(&'static str, u32)],
    pub(crate) params: &'a [u8],
    pub(crate) inputs: &'a [&'a Resident],
    /// Length in words of each output.
    pub(crate) outputs: &'a [usize],
    pub(crate) groups: [u32; 3],
}

/// Bytes of an upload on this adapter.
pub(super) fn chunk_bytes(info: &DeviceInfo) -> usize {
    let limit = info.max_binding_bytes.min(info.max_buffer_bytes).min(32 << 20);
    usize::try_from(limit).unwrap_or(32 << 20)
}

impl Gpu {
    /// Waits until fewer than two callers use the device. Take one turn per chunk of work, never two at once.
    pub(crate) fn turn(&self) -> Turn {
        let mut n_taken = self.turns.n_taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *n_taken >= MAX_TURNS {
            n_taken = self.turns.given_back.wait(n_taken).unwrap_or_else(PoisonError::into_inner);
        }
        *n_taken += 1;
        Turn(Arc::clone(&self.turns))
    }

    /// Largest upload in bytes: below what a kernel can bind, and small enough to keep device memory small.
    pub(crate) fn max_chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Copies bytes to the device, followed by zeros up to a multiple of 64 bytes. The binding covers at least
    /// `binding_bytes`; what lies beyond the zeros is arbitrary.
    pub(crate) fn upload(
        &self,
        kernel: &'static Kernel,
        bytes: &[u8],
        binding_bytes: usize,
    ) -> Result<Resident, Error> {
        let padded = bytes.len().max(1).next_multiple_of(UPLOAD_PAD_BYTES);
        let binding_bytes = padded.max(binding_bytes.next_multiple_of(4)) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let loan = self.guarded(kernel, binding_bytes, || {
            let loan = self.pool.lend(&self.device.device, usage, binding_bytes);
            let (whole, rest) = bytes.split_at(bytes.len() / 4 * 4);
            let mut tail = rest.to_vec();
            tail.resize(padded - whole.len(), 0);
            if !whole.is_empty() {
                self.device.queue.write_buffer(loan.buffer(), 0, whole);
            }
            if !tail.is_empty() {
                self.device.queue.write_buffer(loan.buffer(), whole.len() as u64, &tail);
            }
            loan
        })?;
        Ok(Resident { loan, binding_bytes })
    }

    /// Runs the kernel and returns the words of each output.
    pub(crate) fn run(&self, call: &Call<'_>) -> Result<Vec<Vec<u32>>, Error> {
        let kernel = call.kernel;
        let pipeline = self.pipeline(kernel, call.constants)?;
        let n_words: usize = call.outputs.iter().sum();
        let size_bytes = n_words as u64 * 4;
        let (outputs, readback, submission) =
            self.guarded(kernel, size_bytes, || self.submit(call, &pipeline))?;
        let words = self.read_back(kernel, readback, size_bytes, submission);
        if words.is_err() {
            outputs.into_iter().for_each(Loan::discard);
        }
        let words = words?;
        let n_unwritten = words.iter().filter(|&&word| word == UNWRITTEN).count();
        if n_unwritten > 0 {
            return Err(Error::Unwritten {
                adapter: self.name(),
                kernel: kernel.label,
                n_words: n_unwritten,
            });
        }
        let mut rest = words.as_slice();
        let split = call.outputs.iter().map(|&length| {
            let (output, behind) = rest.split_at(length);
            rest = behind;
            output.to_vec()
        });
        Ok(split.collect())
    }

    fn submit(
        &self,
        call: &Call<'_>,
        pipeline: &wgpu::ComputePipeline,
    ) -> (Vec<Loan>, Loan, wgpu::SubmissionIndex) {
        use wgpu::BufferUsages as Usage;
        let (device, queue) = (&self.device.device, &self.device.queue);
        let lend = |usage, size_bytes| self.pool.lend(device, usage, size_bytes);

        let params = lend(Usage::UNIFORM | Usage::COPY_DST, 256);
        let mut params_bytes = call.params.to_vec();
        params_bytes.resize(256, 0);
        queue.write_buffer(params.buffer(), 0, &params_bytes);

        let outputs: Vec<Loan> = call
            .outputs
            .iter()
            .map(|&n_words| lend(Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC, n_words as u64 * 4))
            .collect();
        let longest = call.outputs.iter().copied().max().unwrap_or(0);
        let mark = lend(Usage::COPY_SRC | Usage::COPY_DST, (MARK_WORDS.min(longest) * 4) as u64);
        let mark_words = vec![UNWRITTEN; MARK_WORDS.min(longest)];
        queue.write_buffer(mark.buffer(), 0, bytemuck::cast_slice(&mark_words));

        let mut encoder =
            device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(call.kernel.label) });
        for (output, &n_words) in outputs.iter().zip(call.outputs) {
            for first in (0..n_words).step_by(MARK_WORDS) {
                let size = (n_words - first).min(MARK_WORDS) as u64 * 4;
                encoder.copy_buffer_to_buffer(mark.buffer(), 0, output.buffer(), first as u64 * 4, size);
            }
        }

        let inputs = call.inputs.iter().map(|resident| (resident.loan.buffer(), resident.binding_bytes));
        let written =
            outputs.iter().zip(call.outputs).map(|(output, &n_words)| (output.buffer(), n_words as u64 * 4));
        let bound = std::iter::once((params.buffer(), 256)).chain(inputs).chain(written);
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(bound)
            .map(|(binding, (buffer, size))| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: std::num::NonZeroU64::new(size),
                }),
            })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(call.kernel.label),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(call.kernel.label),
            timestamp_writes: None,
        });
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = call.groups;
        pass.dispatch_workgroups(x, y, z);
        drop(pass);

        let n_words: usize = call.outputs.iter().sum();
        let readback = lend(Usage::MAP_READ | Usage::COPY_DST, n_words as u64 * 4);
        let mut offset = 0;
        for (output, &n_words) in outputs.iter().zip(call.outputs) {
            let size = n_words as u64 * 4;
            encoder.copy_buffer_to_buffer(output.buffer(), 0, readback.buffer(), offset, size);
            offset += size;
        }
        let submission = queue.submit([encoder.finish()]);
        (outputs, readback, submission)
    }

    fn read_back(
        &self,
        kernel: &'static Kernel,
        readback: Loan,
        size_bytes: u64,
        submission: wgpu::SubmissionIndex,
    ) -> Result<Vec<u32>, Error> {
        let (sender, receiver) = mpsc::channel();
        let words = self.guarded(kernel, size_bytes, || {
            let slice = readback.buffer().slice(..size_bytes);
            slice.map_async(wgpu::MapMode::Read, move |mapped| {
                // the receiver is gone only after a time-out, when nobody needs the answer
                let _ = sender.send(mapped);
            });
            let wait = wgpu::PollType::Wait {
                submission_index: Some(submission),
                timeout: Some(Duration::from_secs(LIMIT_S)),
            };
            let rejected =
                |reason: String| Error::Dispatch { adapter: self.name(), kernel: kernel.label, reason };
            match self.device.device.poll(wait) {
                Ok(_) => {}
                Err(wgpu::PollError::Timeout) => {
                    return Err(Error::Timeout {
                        adapter: self.name(),
                        kernel: kernel.label,
                        limit_s: LIMIT_S,
                    });
                }
                Err(error) => return Err(rejected(error.to_string())),
            }
            // another thread's poll may have taken the callback and not yet run it
            match receiver.recv_timeout(Duration::from_secs(LIMIT_S)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(rejected(error.to_string())),
                Err(_) => {
                    return Err(Error::Timeout {
                        adapter: self.name(),
                        kernel: kernel.label,
                        limit_s: LIMIT_S,
                    });
                }
            }
            let view = slice.get_mapped_range().map_err(|error| rejected(error.to_string()))?;
            let words =
                view.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            Ok(words.collect::<Vec<u32>>())
        });
        match words {
            Ok(Ok(words)) => {
                readback.buffer().unmap();
                Ok(words)
            }
            Ok(Err(error)) | Err(error) => {
                readback.discard();
                Err(self.lost_or(kernel, error))
            }
        }
    }

    /// The compiled kernel, from the cache after the first use.
    fn pipeline(
        &self,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
    ) -> Result<Arc<wgpu::ComputePipeline>, Error> {
        let key: PipelineKey = (kernel.label, constants.to_vec());
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let refused = |reason: String| Error::Pipeline { adapter: self.name(), kernel: kernel.label, reason };
        let edited = match &self.edit {
            Some((label, edit)) if *label == kernel.label => Some(
                edit.apply(kernel.source).ok_or_else(|| refused(format!("'{}' is not unique", edit.find)))?,
            ),
            _ => None,
        };
        let source = edited.as_deref().unwrap_or(kernel.source);
        let values: Vec<(&str, f64)> =
            constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let made = self.guarded(kernel, 0, || {
            let module = self.device.shader_module(kernel.label, source);
            self.device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.label),
                layout: None,
                module: &module,
                entry_point: Some(kernel.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &values,
                    // every kernel writes its workgroup memory before it reads it
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            })
        });
        let pipeline = Arc::new(made.map_err(|error| match error {
            Error::Dispatch { reason, .. } => refused(reason),
            other => other,
        })?);
        pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Runs `work` inside scopes for every kind of error. Scopes belong to the thread, so `work` stays on it.
    fn guarded<T>(
        &self,
        kernel: &'static Kernel,
        size_bytes: u64,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        let (adapter, label) = (self.name(), kernel.label);
        if let Some(reason) = self.device.lost() {
            return Err(Error::DeviceLost { adapter, kernel: label, reason });
        }
        let device = &self.device.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let caught = [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
        let error = match caught.into_iter().flatten().next() {
            Some(wgpu::Error::OutOfMemory { .. }) => {
                Error::OutOfMemory { adapter, kernel: label, size_bytes }
            }
            Some(error) => Error::Dispatch { adapter, kernel: label, reason: error.to_string() },
            None => match self.device.take_uncaptured() {
                Some(reason) => Error::Dispatch { adapter, kernel: label, reason },
                None => return Ok(result),
            },
        };
        Err(self.lost_or(kernel, error))
    }

    /// The loss of the device where that is what lies behind `error`.
    fn lost_or(&self, kernel: &'static Kernel, error: Error) -> Error {
        // the callback of a loss runs inside a poll; what the poll itself says is no news
        let _ = self.device.device.poll(wgpu::PollType::Poll);
        match self.device.lost() {
            Some(reason) => Error::DeviceLost { adapter: self.name(), kernel: kernel.label, reason },
            None => error,
        }
    }

    /// A canary: a number that the host knows.
    pub(crate) fn expect_equal<T: PartialEq + ToString>(
        &self,
        kernel: &'static Kernel,
        what: &'static str,
        found: T,
        wanted: T,
    ) -> Result<(), Error> {
        if found == wanted { Ok(()) } else { Err(self.canary(kernel, what, found, wanted)) }
    }

    /// The error of a wrong canary.
    pub(crate) fn canary(
        &self,
        kernel: &'static Kernel,
        what: &'static str,
        found: impl ToString,
        wanted: impl ToString,
    ) -> Error {
        let (found, wanted) = (found.to_string(), wanted.to_string());
        Error::Canary { adapter: self.name(), kernel: kernel.label, what, found, wanted }
    }

    pub(super) fn name(&self) -> String {
        self.info().name.clone()
    }
}
