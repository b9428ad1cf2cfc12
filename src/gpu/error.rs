//! Why a GPU could not be used. Exit code 6 where it was asked for by name; a line in the report under `auto`.

/// A failure of the GPU backend; each names the adapter, and the kernel where one was running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits the request.
    #[error("no GPU fits '{asked}'; found: {found}")]
    NoAdapter {
        /// The request.
        asked: String,
        /// What there is, or "none".
        found: String,
    },
    /// The adapter is there but gives no device.
    #[error("{adapter} cannot be opened: {reason}")]
    Open {
        /// Adapter name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device computes something else than it should: it is not used.
    #[error("{adapter} fails the self-test '{check}': {detail}")]
    SelfTest {
        /// Adapter name.
        adapter: String,
        /// Name of the check.
        check: &'static str,
        /// Found and wanted.
        detail: String,
    },
    /// The driver refuses to compile a kernel.
    #[error("{adapter} cannot compile kernel '{kernel}': {reason}")]
    Pipeline {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// What validation or the driver said.
        reason: String,
    },
    /// Upload, dispatch or read-back is rejected.
    #[error("{adapter} rejects kernel '{kernel}': {reason}")]
    Dispatch {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// What validation or the driver said.
        reason: String,
    },
    /// Device memory is exhausted.
    #[error("{adapter} has no {size_bytes} bytes for kernel '{kernel}'")]
    OutOfMemory {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// Bytes asked for.
        size_bytes: u64,
    },
    /// Memory that holds the answer, or takes an upload, cannot be mapped.
    #[error("{adapter} gives no access to the memory of kernel '{kernel}': {reason}")]
    ReadBack {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// No answer in time.
    #[error("{adapter} does not finish kernel '{kernel}' within {limit_s} s")]
    Timeout {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// Seconds waited.
        limit_s: u64,
    },
    /// The device is gone: reset, unplugged or out of memory.
    #[error("{adapter} was lost in kernel '{kernel}': {reason}")]
    DeviceLost {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// Words of the output that no thread wrote.
    #[error("{adapter} left {n_words} words of kernel '{kernel}' unwritten")]
    Unwritten {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// How many.
        n_words: usize,
    },
    /// A count or checksum differs from the host's: the device read or computed something else.
    #[error("{adapter} returns a wrong {what} from kernel '{kernel}': {found}, not {wanted}")]
    Canary {
        /// Adapter name.
        adapter: String,
        /// Kernel label.
        kernel: &'static str,
        /// Which number.
        what: &'static str,
        /// As the device says.
        found: String,
        /// As the host says.
        wanted: String,
    },
}
