import Glibc

/// A lock and a condition to wait on, like Foundation's `NSCondition`, but that a wait with an end is measured by a clock that nobody sets.
///
/// `NSCondition` and semaphores wait until an instant of the wall clock: when that is set back by an hour, they wait an hour longer.
public final class MonotonicCondition: @unchecked Sendable {
    // @unchecked: both are made for use by several threads, never move, and are freed by the last reference.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Waits are cut into parts, so that no sum overflows.
    private static let longestPart = Duration.seconds(86_400)

    public init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    public func lock() { pthread_mutex_lock(mutex) }
    public func unlock() { pthread_mutex_unlock(mutex) }

    public func withLock<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock()
        defer { unlock() }
        return try body()
    }

    public func signal() { pthread_cond_signal(condition) }
    public func broadcast() { pthread_cond_broadcast(condition) }

    /// Under the lock. May return without a reason.
    public func wait() { pthread_cond_wait(condition, mutex) }

    /// Under the lock. May return without a reason; false when the end has come.
    public func wait(until end: ContinuousClock.Instant) -> Bool {
        let left = min(ContinuousClock.now.duration(to: end), Self.longestPart)
        guard left > .zero else { return false }
        var moment = timespec()
        clock_gettime(CLOCK_MONOTONIC, &moment)
        let (seconds, attoseconds) = left.components
        let nanoseconds = moment.tv_nsec + Int(attoseconds / 1_000_000_000)
        moment.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
        moment.tv_nsec = nanoseconds % 1_000_000_000
        pthread_cond_timedwait(condition, mutex, &moment)
        return ContinuousClock.now < end
    }
}
