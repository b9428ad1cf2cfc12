//! One dispatch: upload, run, read back, each inside error scopes and with a time limit.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rayon::prelude::*;

use super::faults::FaultPoint;
use super::opened::{Opened, PipelineKey, Stamps};
use super::pool::Loan;
use super::ring::{MAX_RING_BYTES, NoSlot};
use super::{DeviceInfo, Error, Gpu, Kernel};

/// Content of every output word before a kernel runs: a NaN with a payload that no computation makes.
pub(super) const UNWRITTEN: u32 = 0x7fc0_c06e;

/// Uploads end in zeros up to a multiple of this: whole quads of any element type.
const UPLOAD_PAD_BYTES: usize = 64;
/// Shorter uploads are left to wgpu's own staging memory.
const MIN_SLOT_UPLOAD_BYTES: usize = 64 << 10;
/// Bytes that one thread copies into an upload slot.
const COPY_BYTES: usize = 1 << 20;
/// A dispatch is sized for 50 ms; a software adapter on a busy machine may need a thousand times that.
const LIMIT: Duration = Duration::from_secs(60);
/// Words written at a time when marking outputs.
const MARK_WORDS: usize = 1 << 16;

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
pub(crate) struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
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

/// One dispatch of a kernel. Bindings: params, inputs from 1 on, outputs from the kernel's `first_output` on.
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

/// A dispatch on its way.
#[derive(Debug)]
pub(crate) struct Submitted {
    kernel: &'static Kernel,
    opened: Arc<Opened>,
    outputs: Vec<Loan>,
    lengths: Vec<usize>,
    readback: Loan,
    stamps: Option<Stamps>,
    index: wgpu::SubmissionIndex,
}

/// Bytes of an upload on this adapter.
pub(super) fn chunk_bytes(info: &DeviceInfo) -> usize {
    let limit = info.max_binding_bytes.min(info.max_buffer_bytes).min(32 << 20);
    usize::try_from(limit).unwrap_or(32 << 20)
}

/// How bytes reach device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadPath {
    /// wgpu allocates staging memory for every upload.
    WriteBuffer,
    /// Through mapped slots that are used again.
    Ring,
}

impl Gpu {
    /// Waits until fewer than two callers use the device. A caller takes one turn at a time.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let turns = &self.shared.turns;
        let mut n_taken = turns.n_taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *n_taken >= MAX_TURNS {
            n_taken = turns.given_back.wait(n_taken).unwrap_or_else(PoisonError::into_inner);
        }
        *n_taken += 1;
        Turn(turns)
    }

    /// Largest upload in bytes: below what a kernel can bind, and small enough to keep device memory small.
    pub(crate) fn max_chunk_bytes(&self) -> usize {
        self.shared.chunk_bytes().min(self.most_chunk_bytes)
    }

    /// Largest block of rows in bytes that stays on the device while it meets others: a card needs large ones to be busy,
    /// and holds a few of them at a time; a software adapter's memory is the host's.
    pub(crate) fn max_block_bytes(&self) -> usize {
        let chunk = self.max_chunk_bytes();
        let n_chunks = if self.info().is_software() { 1 } else { 8 };
        let limit = usize::try_from(self.info().max_binding_bytes.min(self.info().max_buffer_bytes));
        (chunk * n_chunks).min(limit.unwrap_or(usize::MAX))
    }

    /// Copies bytes to the device, followed by zeros up to a multiple of 64 bytes. The binding covers at least
    /// `binding_bytes`; what lies beyond the zeros is arbitrary.
    pub(crate) fn upload(
        &self,
        kernel: &'static Kernel,
        bytes: &[u8],
        binding_bytes: usize,
    ) -> Result<Resident, Error> {
        let path =
            if bytes.len() < MIN_SLOT_UPLOAD_BYTES { UploadPath::WriteBuffer } else { UploadPath::Ring };
        self.upload_by(path, kernel, bytes, binding_bytes)
    }

    /// The same by a path of the caller's choice: what `devices --check` measures.
    pub(crate) fn upload_by(
        &self,
        path: UploadPath,
        kernel: &'static Kernel,
        bytes: &[u8],
        binding_bytes: usize,
    ) -> Result<Resident, Error> {
        let padded = bytes.len().max(1).next_multiple_of(UPLOAD_PAD_BYTES);
        let binding_bytes = padded.max(binding_bytes.next_multiple_of(4)) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let opened = self.shared.opened();
        let loan = self.guarded(&opened, kernel, binding_bytes, || {
            let loan = self.lend(&opened, kernel, usage, binding_bytes)?;
            let whole_length = bytes.len() / UPLOAD_PAD_BYTES * UPLOAD_PAD_BYTES;
            let (whole, rest) = bytes.split_at(whole_length);
            match path {
                UploadPath::WriteBuffer if whole.is_empty() => {}
                UploadPath::WriteBuffer => opened.device.queue.write_buffer(loan.buffer(), 0, whole),
                UploadPath::Ring => self.copy_through_ring(&opened, kernel, whole, &loan)?,
            }
            if whole_length < padded {
                let mut tail = [0; UPLOAD_PAD_BYTES];
                tail[..rest.len()].copy_from_slice(rest);
                opened.device.queue.write_buffer(loan.buffer(), whole_length as u64, &tail);
            }
            Ok(loan)
        })??;
        Ok(Resident { loan, binding_bytes })
    }

    fn copy_through_ring(
        &self,
        opened: &Opened,
        kernel: &'static Kernel,
        bytes: &[u8],
        to: &Loan,
    ) -> Result<(), Error> {
        let (device, queue) = (&opened.device.device, &opened.device.queue);
        let piece_bytes = usize::try_from(MAX_RING_BYTES / 6).unwrap_or(usize::MAX);
        for (index, piece) in bytes.chunks(piece_bytes).enumerate() {
            let size = piece.len() as u64;
            if self.shared.faults.strikes(FaultPoint::Buffer) {
                return Err(self.out_of_memory(kernel, size));
            }
            let slot = opened.ring.take(device, size, LIMIT).map_err(|none| match none {
                NoSlot::Timeout => self.timeout(kernel),
                NoSlot::Lost => self.rejected(kernel, "the device cannot be polled".to_owned()),
            })?;
            piece.par_chunks(COPY_BYTES).enumerate().try_for_each(|(at, part)| {
                let first = (at * COPY_BYTES) as u64;
                let mut view = slot
                    .slice(first..first + part.len() as u64)
                    .get_mapped_range_mut()
                    .map_err(|error| self.inaccessible(kernel, error.to_string()))?;
                view.copy_from_slice(part);
                Ok::<(), Error>(())
            })?;
            slot.unmap();
            let mut encoder =
                device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("upload") });
            encoder.copy_buffer_to_buffer(&slot, 0, to.buffer(), (index * piece_bytes) as u64, size);
            queue.submit([encoder.finish()]);
            opened.ring.give_back(slot);
        }
        Ok(())
    }

    /// Runs the kernel and returns the words of each output.
    pub(crate) fn run(&self, call: &Call<'_>) -> Result<Vec<Vec<u32>>, Error> {
        self.finish(self.submit(call)?)
    }

    /// Starts a kernel whose outputs are read back by [`Gpu::finish`].
    pub(crate) fn submit(&self, call: &Call<'_>) -> Result<Submitted, Error> {
        let opened = self.shared.opened();
        let kernel = call.kernel;
        let pipeline = self.pipeline(&opened, kernel, call.constants)?;
        let size_bytes = call.outputs.iter().sum::<usize>() as u64 * 4;
        let submitted = self.guarded(&opened, kernel, size_bytes, || {
            let (mut encoder, outputs, stamps) = self.encode(&opened, call, &pipeline)?;
            let stamp_bytes = stamps.as_ref().map_or(0, |_| Stamps::SIZE_BYTES);
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let readback = self.lend(&opened, kernel, usage, size_bytes + stamp_bytes)?;
            let mut offset = 0;
            for (output, &n_words) in outputs.iter().zip(call.outputs) {
                let size = n_words as u64 * 4;
                encoder.copy_buffer_to_buffer(output.buffer(), 0, readback.buffer(), offset, size);
                offset += size;
            }
            if let Some(stamps) = &stamps {
                encoder.resolve_query_set(&stamps.set, 0..2, &stamps.resolved, 0);
                encoder.copy_buffer_to_buffer(
                    &stamps.resolved,
                    0,
                    readback.buffer(),
                    offset,
                    Stamps::SIZE_BYTES,
                );
            }
            let index = opened.device.queue.submit([encoder.finish()]);
            Ok(Submitted {
                kernel,
                opened: Arc::clone(&opened),
                outputs,
                lengths: call.outputs.to_vec(),
                readback,
                stamps,
                index,
            })
        })??;
        if self.shared.faults.strikes(FaultPoint::Submit) {
            opened.device.device.destroy();
        }
        Ok(submitted)
    }

    /// Runs a kernel with one output, which stays on the device as the input of another kernel.
    pub(crate) fn transform(&self, call: &Call<'_>) -> Result<Resident, Error> {
        let opened = self.shared.opened();
        let kernel = call.kernel;
        let pipeline = self.pipeline(&opened, kernel, call.constants)?;
        let size_bytes = call.outputs.iter().sum::<usize>() as u64 * 4;
        self.guarded(&opened, kernel, size_bytes, || {
            let (mut encoder, mut outputs, stamps) = self.encode(&opened, call, &pipeline)?;
            if let Some(stamps) = stamps {
                // resolved, so that the set may be used again; nobody waits for this one's time
                encoder.resolve_query_set(&stamps.set, 0..2, &stamps.resolved, 0);
                opened.give_back(stamps);
            }
            opened.device.queue.submit([encoder.finish()]);
            let loan = outputs.pop().ok_or_else(|| self.rejected(kernel, "it has no output".to_owned()))?;
            Ok(Resident { loan, binding_bytes: size_bytes })
        })?
    }

    /// Waits for a kernel and returns the words of each output.
    pub(crate) fn finish(&self, submitted: Submitted) -> Result<Vec<Vec<u32>>, Error> {
        let Submitted { kernel, opened, outputs, lengths, readback, stamps, index } = submitted;
        let n_words: usize = lengths.iter().sum();
        let stamp_words = stamps.as_ref().map_or(0, |_| Stamps::SIZE_BYTES as usize / 4);
        let words = self.read_back(&opened, kernel, readback, (n_words + stamp_words) as u64 * 4, index);
        let mut words = match words {
            Ok(words) => words,
            Err(error) => {
                outputs.into_iter().for_each(Loan::discard);
                return Err(error);
            }
        };
        if let (Some(stamps), [first_low, first_high, last_low, last_high]) = (stamps, &words[n_words..]) {
            let stamp = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            let elapsed = opened.elapsed_ns(stamp(*first_low, *first_high), stamp(*last_low, *last_high));
            self.shared.busy_ns.fetch_add(elapsed.unwrap_or(0), Ordering::Relaxed);
            opened.give_back(stamps);
        }
        words.truncate(n_words);
        let is_struck = self.shared.faults.strikes(FaultPoint::Answer);
        if let Some(word) = words.first_mut().filter(|_| is_struck) {
            *word ^= 1 << 22;
        }
        let n_unwritten = words.iter().filter(|&&word| word == UNWRITTEN).count();
        if n_unwritten > 0 {
            return Err(Error::Unwritten {
                adapter: self.name(),
                kernel: kernel.label,
                n_words: n_unwritten,
            });
        }
        let mut rest = words.as_slice();
        let split = lengths.iter().map(|&length| {
            let (output, behind) = rest.split_at(length);
            rest = behind;
            output.to_vec()
        });
        Ok(split.collect())
    }

    /// A buffer from the pool.
    fn lend(
        &self,
        opened: &Opened,
        kernel: &'static Kernel,
        usage: wgpu::BufferUsages,
        size_bytes: u64,
    ) -> Result<Loan, Error> {
        if self.shared.faults.strikes(FaultPoint::Buffer) {
            return Err(self.out_of_memory(kernel, size_bytes));
        }
        Ok(opened.pool.lend(&opened.device.device, usage, size_bytes))
    }

    /// Commands that mark the outputs and run the kernel.
    fn encode(
        &self,
        opened: &Opened,
        call: &Call<'_>,
        pipeline: &wgpu::ComputePipeline,
    ) -> Result<(wgpu::CommandEncoder, Vec<Loan>, Option<Stamps>), Error> {
        use wgpu::BufferUsages as Usage;
        let (device, queue) = (&opened.device.device, &opened.device.queue);
        let lend = |usage, size_bytes| self.lend(opened, call.kernel, usage, size_bytes);

        let params = lend(Usage::UNIFORM | Usage::COPY_DST, 256)?;
        let mut params_bytes = call.params.to_vec();
        params_bytes.resize(256, 0);
        queue.write_buffer(params.buffer(), 0, &params_bytes);

        let output_usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let outputs = call.outputs.iter().map(|&n_words| lend(output_usage, n_words as u64 * 4));
        let outputs = outputs.collect::<Result<Vec<Loan>, Error>>()?;
        let longest = call.outputs.iter().copied().max().unwrap_or(0);
        let mark = lend(Usage::COPY_SRC | Usage::COPY_DST, (MARK_WORDS.min(longest) * 4) as u64)?;
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
        let read = (0..).zip(std::iter::once((params.buffer(), 256)).chain(inputs));
        let bound = read.chain((call.kernel.first_output..).zip(written));
        let entries: Vec<wgpu::BindGroupEntry<'_>> = bound
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
        let stamps = opened.stamps();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(call.kernel.label),
            timestamp_writes: stamps.as_ref().map(|stamps| wgpu::ComputePassTimestampWrites {
                query_set: &stamps.set,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        });
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = call.groups;
        pass.dispatch_workgroups(x, y, z);
        drop(pass);
        Ok((encoder, outputs, stamps))
    }

    fn read_back(
        &self,
        opened: &Opened,
        kernel: &'static Kernel,
        readback: Loan,
        size_bytes: u64,
        index: wgpu::SubmissionIndex,
    ) -> Result<Vec<u32>, Error> {
        let (sender, receiver) = mpsc::channel();
        let words = self.guarded(opened, kernel, size_bytes, || {
            let failed = |reason: String| self.inaccessible(kernel, reason);
            if self.shared.faults.strikes(FaultPoint::Map) {
                return Err(failed("injected fault".to_owned()));
            }
            if self.shared.faults.strikes(FaultPoint::Wait) {
                return Err(self.timeout(kernel));
            }
            let slice = readback.buffer().slice(..size_bytes);
            slice.map_async(wgpu::MapMode::Read, move |mapped| {
                // the receiver is gone only after a time-out, when nobody needs the answer
                let _ = sender.send(mapped);
            });
            let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(LIMIT) };
            match opened.device.device.poll(wait) {
                Ok(_) => {}
                Err(wgpu::PollError::Timeout) => return Err(self.timeout(kernel)),
                Err(error) => return Err(self.rejected(kernel, error.to_string())),
            }
            // another thread's poll may have taken the callback and not yet run it
            match receiver.recv_timeout(LIMIT) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(_) => return Err(self.timeout(kernel)),
            }
            let view = slice.get_mapped_range().map_err(|error| failed(error.to_string()))?;
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
                Err(self.lost_or(opened, kernel, error))
            }
        }
    }

    /// The compiled kernel, from the cache after the first use.
    fn pipeline(
        &self,
        opened: &Opened,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
    ) -> Result<Arc<wgpu::ComputePipeline>, Error> {
        let replaced = match &self.replaced {
            Some((label, source)) if *label == kernel.label => Some(Arc::clone(source)),
            _ => None,
        };
        let key = PipelineKey {
            label: kernel.label,
            source: replaced,
            constants: constants.to_vec(),
            checks: self.checks,
        };
        let mut pipelines = opened.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let source = key.source.as_deref().unwrap_or(kernel.source);
        let values: Vec<(&str, f64)> =
            constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let made = self.guarded(opened, kernel, 0, || {
            let module = opened.device.shader_module(kernel.label, source, self.checks);
            opened.device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
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
            Error::Dispatch { reason, .. } => {
                Error::Pipeline { adapter: self.name(), kernel: kernel.label, reason }
            }
            other => other,
        })?);
        pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Runs `work` inside scopes for every kind of error. Scopes belong to the thread, so `work` stays on it.
    fn guarded<T>(
        &self,
        opened: &Opened,
        kernel: &'static Kernel,
        size_bytes: u64,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        let (adapter, label) = (self.name(), kernel.label);
        if let Some(reason) = opened.device.lost() {
            return Err(Error::DeviceLost { adapter, kernel: label, reason });
        }
        let device = &opened.device.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let caught = [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
        let error = match caught.into_iter().flatten().next() {
            Some(wgpu::Error::OutOfMemory { .. }) => self.out_of_memory(kernel, size_bytes),
            Some(error) => Error::Dispatch { adapter, kernel: label, reason: error.to_string() },
            None => match opened.device.take_uncaptured() {
                Some(reason) => Error::Dispatch { adapter, kernel: label, reason },
                None => return Ok(result),
            },
        };
        Err(self.lost_or(opened, kernel, error))
    }

    /// The loss of the device where that is what lies behind `error`.
    fn lost_or(&self, opened: &Opened, kernel: &'static Kernel, error: Error) -> Error {
        // the callback of a loss runs inside a poll; what the poll itself says is no news
        let _ = opened.device.device.poll(wgpu::PollType::Poll);
        match opened.device.lost() {
            Some(reason) => Error::DeviceLost { adapter: self.name(), kernel: kernel.label, reason },
            None => error,
        }
    }

    fn out_of_memory(&self, kernel: &'static Kernel, size_bytes: u64) -> Error {
        Error::OutOfMemory { adapter: self.name(), kernel: kernel.label, size_bytes }
    }

    fn timeout(&self, kernel: &'static Kernel) -> Error {
        Error::Timeout { adapter: self.name(), kernel: kernel.label, limit_s: LIMIT.as_secs() }
    }

    fn inaccessible(&self, kernel: &'static Kernel, reason: String) -> Error {
        Error::ReadBack { adapter: self.name(), kernel: kernel.label, reason }
    }

    fn rejected(&self, kernel: &'static Kernel, reason: String) -> Error {
        Error::Dispatch { adapter: self.name(), kernel: kernel.label, reason }
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
