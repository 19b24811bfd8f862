import CCurl
import Synchronization

/// What callers hand to the thread.
final class HTTPQueue: Sendable {
    struct Waiting {
        var id: UInt64
        var request: HTTPRequest
        var continuation: CheckedContinuation<HTTPAnswer, Never>
    }
    struct State {
        var lastID: UInt64 = 0
        var added: [Waiting] = []
        var cancelled: Set<UInt64> = []
        /// Calls that have no answer yet.
        var outstanding: Set<UInt64> = []
        var isClosed = false
        /// The loop's handle while its thread runs; `curl_multi_wakeup` is the one call on it that other threads may make.
        var wakeable: Wakeable?
    }
    /// `@unchecked`: the pointer is only handed to `curl_multi_wakeup`, which libcurl declares thread-safe, under the lock that also guards its removal.
    struct Wakeable: @unchecked Sendable { let multi: UnsafeMutableRawPointer }

    private let state = Mutex(State())

    func newID() -> UInt64 {
        state.withLock {
            $0.lastID += 1
            $0.outstanding.insert($0.lastID)
            return $0.lastID
        }
    }

    func add(_ id: UInt64, _ request: HTTPRequest, _ continuation: CheckedContinuation<HTTPAnswer, Never>) {
        let waiting = Waiting(id: id, request: request, continuation: continuation)
        let isCancelled = state.withLock { state in
            if state.cancelled.remove(id) != nil || state.isClosed {
                state.outstanding.remove(id)
                return true
            }
            state.added.append(waiting)
            Self.wake(state)
            return false
        }
        if isCancelled { continuation.resume(returning: .noResponse(reason: "cancelled", mayHaveArrived: false)) }
    }

    func cancel(_ id: UInt64) {
        state.withLock { state in
            guard state.outstanding.contains(id) else { return }
            state.cancelled.insert(id)
            Self.wake(state)
        }
    }

    func close() {
        state.withLock { state in
            state.isClosed = true
            Self.wake(state)
        }
    }

    func attach(_ multi: UnsafeMutableRawPointer?) { state.withLock { $0.wakeable = multi.map(Wakeable.init) } }

    /// What has come since the last time. A cancellation that overtook its call stays until `add` finds it.
    func take(known: (UInt64) -> Bool) -> (added: [Waiting], cancelled: [UInt64], isClosed: Bool) {
        state.withLock { state in
            let added = state.added
            state.added = []
            let cancelled = state.cancelled.filter { id in known(id) || added.contains { $0.id == id } }
            state.cancelled.subtract(cancelled)
            return (added, Array(cancelled), state.isClosed)
        }
    }

    func ended(_ id: UInt64) {
        state.withLock { state in
            state.outstanding.remove(id)
            state.cancelled.remove(id)
        }
    }

    private static func wake(_ state: State) { if let wakeable = state.wakeable { curl_multi_wakeup(wakeable.multi) } }
}
