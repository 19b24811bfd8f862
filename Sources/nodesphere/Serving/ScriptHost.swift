import Foundation
import Logging
import LuaScripting
import RuleEngine
import Synchronization

/// Automations on a thread of their own: what they do delays no rule.
///
/// Inputs wait in a bounded line; when scripts are slower than what comes, the oldest readings are dropped, and counted.
final class ScriptHost: @unchecked Sendable {
    // @unchecked: `runtime` is used by the thread alone, everything else is read and written under `condition`.
    private enum Item {
        case batch(MessageBatch)
        case input(ScriptInput)
        /// The files as they are now.
        case load([(file: String, text: String)], reason: String)
    }
    private let runtime: AutomationRuntime
    private let clock: EngineClock
    private let condition = NSCondition()
    private var line: [Item] = []
    private var waitingReadings = 0
    private var isStopped = false
    private var hasEnded = false
    private var known: [AutomationRuntime.Status] = []
    private var texts: [String: String] = [:]
    private var dropped = 0
    private var faults = 0
    private let carryOut: @Sendable ([ScriptEffect], [TopicSubscription]?) -> Void

    private static let mostReadings = 50_000

    /// - Parameter carryOut: called on the thread with effects in order, and with what is to be subscribed when that changed.
    init(
        settings: AutomationSettings, world: ScriptWorld, clock: EngineClock, stored: [StoredDocument],
        carryOut: @escaping @Sendable ([ScriptEffect], [TopicSubscription]?) -> Void
    ) {
        runtime = AutomationRuntime(settings: settings, world: world)
        runtime.restore(stored.map { ($0.id, $0.document) })
        self.clock = clock
        self.carryOut = carryOut
    }

    // MARK: From other threads

    func add(_ batch: MessageBatch) {
        put {
            guard !texts.isEmpty else { return }
            line.append(.batch(batch))
            waitingReadings += batch.count
            while waitingReadings > Self.mostReadings, let oldest = line.firstIndex(where: { if case .batch = $0 { true } else { false } }),
                case .batch(let old) = line[oldest]
            {
                line.remove(at: oldest)
                waitingReadings -= old.count
                dropped += old.count
            }
        }
    }

    func add(_ input: ScriptInput) { put { if !texts.isEmpty { line.append(.input(input)) } } }

    /// Calls a function that an action of a rule names; also where there are no scripts, for that has to be told.
    func call(_ automation: String, _ function: String, _ alert: AlertRecord, _ arguments: Document) {
        put { line.append(.input(.action(automation: automation, function: function, alert: alert, arguments: arguments))) }
    }

    /// Takes the files that differ from those that run.
    func load(_ files: [(file: String, text: String)], reason: String) {
        put {
            texts = Dictionary(files.map { ($0.file, $0.text) }) { first, _ in first }
            line.append(.load(files, reason: reason))
        }
    }

    var statuses: [AutomationRuntime.Status] { locked { known } }
    var counts: (dropped: Int, faults: Int, waitingReadings: Int) { locked { (dropped, faults, waitingReadings) } }

    func start() {
        let thread = Thread { self.run() }
        thread.name = "scripts"
        // Lua may nest 200 calls of C.
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Calls `on_stop`, and returns when everything that scripts wanted by then was handed over. Blocks.
    func stop() {
        condition.lock()
        isStopped = true
        // What was handed over counts as carried out.
        line.removeAll { if case .input(.action) = $0 { false } else { true } }
        condition.broadcast()
        while !hasEnded { condition.wait() }
        condition.unlock()
    }

    private func put(_ change: () -> Void) {
        condition.lock()
        change()
        condition.broadcast()
        condition.unlock()
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        condition.lock()
        defer { condition.unlock() }
        return body()
    }

    // MARK: The thread

    private func run() {
        var loaded: [String: String] = [:]
        while let item = next() {
            _ = runtime.advance(to: clock.now(), most: AutomationRuntime.timersAtOnce)
            switch item {
            case .some(.batch(let batch)): take(batch)
            case .some(.input(let input)): runtime.apply(input, at: clock.now())
            case .some(.load(let files, let reason)): take(files, reason, &loaded)
            case .none: break
            }
            settle()
        }
        runtime.stop(at: clock.now())
        settle()
        put { hasEnded = true }
    }

    /// The next item; `.some(nil)` when a timer is due; nil after `stop`.
    private func next() -> Item?? {
        condition.lock()
        defer { condition.unlock() }
        while !isStopped || !line.isEmpty {
            if !line.isEmpty {
                let item = line.removeFirst()
                if case .batch(let batch) = item { waitingReadings -= batch.count }
                return .some(item)
            }
            known = runtime.statuses
            guard let due = runtime.nextDue else {
                condition.wait()
                continue
            }
            let left = due - clock.now()
            if left <= 0 { return .some(nil) }
            _ = condition.wait(until: Date(timeIntervalSinceNow: min(Double(left) / 1e9, 3600)))
        }
        return nil
    }

    private func take(_ batch: MessageBatch) {
        batch.bytes.withUnsafeBytes { bytes in
            for entry in batch.entries {
                let middle = entry.start + entry.topicLength
                runtime.read(
                    topic: UnsafeRawBufferPointer(rebasing: bytes[entry.start..<middle]),
                    payload: UnsafeRawBufferPointer(rebasing: bytes[middle..<middle + entry.payloadLength]),
                    isRetained: entry.flags.contains(.retained), at: clock.now())
            }
        }
    }

    private func take(_ files: [(file: String, text: String)], _ reason: String, _ loaded: inout [String: String]) {
        for file in loaded.keys.sorted() where !files.contains(where: { $0.file == file }) {
            loaded[file] = nil
            runtime.remove(file: file, at: clock.now())
        }
        for (file, text) in files where loaded[file] != text {
            loaded[file] = text
            runtime.load(file: file, text: text, reason: reason, at: clock.now())
        }
    }

    private func settle() {
        let effects = runtime.takeEffects()
        guard !effects.isEmpty else { return }
        var isChanged = false
        var newFaults = 0
        for effect in effects {
            switch effect.kind {
            case .subscriptionsChanged: isChanged = true
            case .fault: newFaults += 1
            default: break
            }
        }
        if newFaults > 0 { put { faults += newFaults } }
        carryOut(effects, isChanged ? runtime.subscriptions : nil)
    }
}

/// Readings go to scripts and to the engine; only the engine's answer counts.
struct ReadingFork: TelemetrySink {
    let host: EngineHost
    let scripts: ScriptHost

    func take(_ batch: MessageBatch) -> BatchOutcome {
        let outcome = host.take(batch)
        // What was refused comes again.
        if case .refused = outcome { return outcome }
        scripts.add(batch)
        return outcome
    }
    func connected() { host.connected() }
    func backlogEnded() { host.backlogEnded() }
    func disconnected(reason: String) { host.disconnected(reason: reason) }
}
