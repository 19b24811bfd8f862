import Synchronization

/// For adapters: hands changes to every stream that was asked for. What one has not taken yet is kept by document, the newest only: a slow reader holds at
/// most one change of each document, and misses no document.
public final class DirectoryChangeFeed: Sendable {
    private let subscribers = Mutex<[Weak]>([])

    private struct Weak: Sendable {
        weak let subscriber: Subscriber?
    }

    public init() {}

    public func publish(_ changes: [DirectoryChange]) {
        guard !changes.isEmpty else { return }
        let present = subscribers.withLock { subscribers in
            subscribers.removeAll { $0.subscriber == nil }
            return subscribers.compactMap(\.subscriber)
        }
        for subscriber in present { subscriber.add(changes) }
    }

    /// Begins to collect at once, not at the first reading.
    public func stream() -> AsyncStream<[DirectoryChange]> {
        let subscriber = Subscriber()
        subscribers.withLock { $0.append(Weak(subscriber: subscriber)) }
        return AsyncStream(unfolding: { await subscriber.next() })
    }

    private final class Subscriber: Sendable {
        private struct State {
            var changes: [DirectoryChange] = []
            /// Where in `changes` a document's change is.
            var places: [[UInt8]: Int] = [:]
            var reader: CheckedContinuation<[DirectoryChange]?, Never>?
            var isCancelled = false

            mutating func take() -> [DirectoryChange] {
                defer {
                    changes = []
                    places = [:]
                }
                return changes
            }
        }

        private let state = Mutex(State())

        func add(_ changes: [DirectoryChange]) {
            let wakened = state.withLock { state -> (CheckedContinuation<[DirectoryChange]?, Never>, [DirectoryChange])? in
                for change in changes {
                    let key = change.key
                    if let place = state.places[key] {
                        state.changes[place] = change
                    } else {
                        state.places[key] = state.changes.count
                        state.changes.append(change)
                    }
                }
                guard let reader = state.reader else { return nil }
                state.reader = nil
                return (reader, state.take())
            }
            if let (reader, changes) = wakened { reader.resume(returning: changes) }
        }

        func next() async -> [DirectoryChange]? {
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    enum Answer { case end, changes([DirectoryChange]), wait }
                    let answer: Answer = state.withLock { state in
                        if state.isCancelled || state.reader != nil { return .end }
                        if !state.changes.isEmpty { return .changes(state.take()) }
                        state.reader = continuation
                        return .wait
                    }
                    switch answer {
                    case .end: continuation.resume(returning: nil)
                    case .changes(let changes): continuation.resume(returning: changes)
                    case .wait: break
                    }
                }
            } onCancel: {
                let reader = state.withLock { state in
                    state.isCancelled = true
                    defer { state.reader = nil }
                    return state.reader
                }
                reader?.resume(returning: nil)
            }
        }
    }
}

extension DirectoryChange {
    /// What document it is about: a letter for the collection, then the id's bytes.
    fileprivate var key: [UInt8] {
        switch self {
        case .device(let id, _): [UInt8(ascii: "d")] + id.utf8
        case .profile(let name, _): [UInt8(ascii: "p")] + name.utf8
        }
    }
}
