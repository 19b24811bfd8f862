import Foundation
import Synchronization

/// Runs a blocking body on a thread of its own and waits for its end without blocking the cooperative pool.
///
/// Cancelling the waiting task calls `stop`, which has to make the body return soon. While the body is inside a call that cannot be ended (a
/// name lookup), a stop does not wait for it: the body sees the stop when the call returns, and ends then.
final class ConnectionThread: Sendable {
    private enum Phase {
        case running
        case inUninterruptibleCall
        case ended
    }
    private struct State {
        var phase = Phase.running
        var isStopped = false
        var waiting: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    var isStopped: Bool { state.withLock { $0.isStopped } }

    func run(name: String, wakeUp: WakeUp, _ body: @escaping @Sendable () -> Void) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { $0.waiting = continuation }
                let thread = Thread {
                    body()
                    self.end()
                }
                thread.name = name
                thread.start()
            }
        } onCancel: {
            let abandoned = state.withLock { state in
                state.isStopped = true
                return state.phase == .inUninterruptibleCall
            }
            wakeUp.signal()
            if abandoned { release() }
        }
    }

    /// Around a call that can block for long and holds nothing that must not be lost.
    func uninterruptibly<Value>(_ call: () -> Value) -> Value? {
        let goesOn = state.withLock { state in
            guard !state.isStopped else { return false }
            state.phase = .inUninterruptibleCall
            return true
        }
        guard goesOn else { return nil }
        defer { state.withLock { $0.phase = .running } }
        return call()
    }

    private func end() {
        state.withLock { $0.phase = .ended }
        release()
    }

    private func release() {
        state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }?.resume()
    }
}
