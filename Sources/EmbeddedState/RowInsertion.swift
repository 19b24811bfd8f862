import Synchronization

/// The row of a message that is delivered while it is being stored: told of once the transaction that inserts it has ended.
final class RowInsertion: Sendable {
    private enum State {
        case underWay
        case awaited(CheckedContinuation<Int64?, Never>)
        case ended(Int64?)
    }
    private let state = Mutex(State.underWay)

    /// nil: the row was not stored.
    func end(seq: Int64?) {
        let waiter: CheckedContinuation<Int64?, Never>? = state.withLock { state in
            defer { state = .ended(seq) }
            if case .awaited(let continuation) = state { return continuation }
            return nil
        }
        waiter?.resume(returning: seq)
    }

    /// To be asked once.
    func seq() async -> Int64? {
        await withCheckedContinuation { continuation in
            let known: Int64?? = state.withLock { state in
                if case .ended(let seq) = state { return .some(seq) }
                state = .awaited(continuation)
                return nil
            }
            if case .some(let seq) = known { continuation.resume(returning: seq) }
        }
    }
}
