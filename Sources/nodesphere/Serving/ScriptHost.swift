import Foundation
import Logging
import LuaScripting
import RuleEngine
import Synchronization
import Threads

/// Automations on a thread of their own: what they do delays no rule.
///
/// Inputs wait in a bounded line; when scripts are slower than what comes, the oldest readings are dropped, and counted. The thread takes what has gathered, notes in the handover mark how far that
/// is, and only then hands it over: after a crash no reading comes to a script a second time.
final class ScriptHost: @unchecked Sendable {
    // @unchecked: `runtime` and `mark` are used by the thread alone, everything else is read and written under `condition`.
    private enum Item {
        /// With its position in the journal; nil without one.
        case batch(MessageBatch, position: UInt64?)
        /// Of a run of the server that ended before it was handed over.
        case leftOver(MessageBatch, position: UInt64, at: Instant)
        case input(ScriptInput)
        /// The files as they are now; readings behind the position are theirs.
        case load([(file: String, text: String)], reason: String, position: UInt64)

        var readings: Int {
            switch self {
            case .batch(let batch, _), .leftOver(let batch, _, _): batch.count
            default: 0
            }
        }
        /// What nobody gives again.
        var isInput: Bool { if case .input = self { true } else { false } }
        var position: UInt64? {
            switch self {
            case .batch(_, let position): position
            case .leftOver(_, let position, _): position
            default: nil
            }
        }
    }
    private let runtime: AutomationRuntime
    private let clock: EngineClock
    private let handover: Handover?
    private let condition = MonotonicCondition()
    private var line: [Item] = []
    private var waitingReadings = 0
    private var isStopped = false
    private var hasEnded = false
    private var known: [AutomationRuntime.Status] = []
    private var knownAt = ContinuousClock.now
    private var texts: [String: String] = [:]
    private var hasLoaded = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var dropped = 0
    private var faults = 0
    private let carryOut: @Sendable ([ScriptEffect], [TopicSubscription]?) -> Void
    private let loaded: @Sendable ([String]) -> Void

    static let mostReadings = 50_000
    /// Readings handed over under one mark.
    private static let handful = 1000
    private static let statusAge = Duration.milliseconds(200)

    /// - Parameters:
    ///   - handover: nil without a journal.
    ///   - leftOver: readings of the last run that were not handed over.
    ///   - carryOut: called on the thread with effects in order, and with what is to be subscribed when that changed.
    ///   - loaded: called on the thread with the names of the automations, when files have changed and all could be read.
    init(
        settings: AutomationSettings, world: ScriptWorld, clock: EngineClock, stored: [StoredDocument], handover: Handover?,
        leftOver: [Recovery.LeftOver], carryOut: @escaping @Sendable ([ScriptEffect], [TopicSubscription]?) -> Void,
        loaded: @escaping @Sendable ([String]) -> Void
    ) {
        runtime = AutomationRuntime(settings: settings, world: world)
        runtime.restore(stored.map { ($0.id, $0.document) })
        self.clock = clock
        self.handover = handover
        self.carryOut = carryOut
        self.loaded = loaded
        line = leftOver.map { .leftOver($0.batch, position: $0.position, at: $0.instant) }
        waitingReadings = leftOver.reduce(0) { $0 + $1.batch.count }
    }

    // MARK: From other threads

    func add(_ batch: MessageBatch, position: UInt64?) {
        put {
            guard !texts.isEmpty else { return }
            line.append(.batch(batch, position: position))
            waitingReadings += batch.count
            while waitingReadings > Self.mostReadings, let oldest = line.firstIndex(where: { $0.readings > 0 }) {
                let count = line.remove(at: oldest).readings
                waitingReadings -= count
                dropped += count
            }
        }
    }

    func add(_ input: ScriptInput) { put { if !texts.isEmpty { line.append(.input(input)) } } }

    /// Calls a function that an action of a rule names; also where there are no scripts, for that has to be told.
    func call(_ automation: String, _ function: String, _ alert: AlertRecord, _ arguments: Document) {
        put { line.append(.input(.action(automation: automation, function: function, alert: alert, arguments: arguments))) }
    }

    /// Takes the files that differ from those that run.
    ///
    /// - Parameter position: of the journal, as it is now.
    func load(_ files: [(file: String, text: String)], reason: String, position: UInt64) {
        put {
            texts = Dictionary(files.map { ($0.file, $0.text) }) { first, _ in first }
            let item = Item.load(files, reason: reason, position: position)
            // What was left over waits for the scripts.
            if case .leftOver = line.first { line.insert(item, at: 0) } else { line.append(item) }
        }
    }

    /// Returns when the files that were to be loaded are: what they listen to can be subscribed before the first message comes. Only after `load` and `start`.
    func waitUntilLoaded() async {
        await withCheckedContinuation { continuation in
            condition.lock()
            if !hasLoaded { waiting.append(continuation) }
            let isThere = hasLoaded
            condition.unlock()
            if isThere { continuation.resume() }
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
        // What was handed over counts as carried out, and changes of alerts are told once. Readings are in the journal: the next run hands them over.
        line.removeAll { !$0.isInput }
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
        while let items = next() {
            if let position = items.last(where: { $0.position != nil })?.position { handover?.begin(upTo: position) { self.hasToStop } }
            for item in items where !hasToStop || item.isInput {
                _ = runtime.advance(to: clock.now(), most: AutomationRuntime.timersAtOnce)
                take(item, &loaded)
                if let position = item.position { handover?.note(position) }
                settle()
            }
            if items.isEmpty {
                _ = runtime.advance(to: clock.now(), most: AutomationRuntime.timersAtOnce)
                settle()
            }
            runtime.flushSmallStates()
            settle()
            if !hasToStop { handover?.end() }
            noteStatuses()
        }
        runtime.stop(at: clock.now())
        settle()
        handover?.close()
        put { hasEnded = true }
        // Those that a stop was faster than.
        noteLoaded()
    }

    private var hasToStop: Bool { locked { isStopped } }

    /// What has gathered, up to a handful; nothing when a timer is due; nil after `stop`.
    private func next() -> [Item]? {
        condition.lock()
        defer { condition.unlock() }
        while !isStopped || !line.isEmpty {
            if !line.isEmpty { return takeHandful() }
            known = runtime.statuses
            guard let due = runtime.nextDue else {
                condition.wait()
                continue
            }
            let left = due - clock.now()
            if left <= 0 { return [] }
            _ = condition.wait(until: .now + .nanoseconds(left))
        }
        return nil
    }

    private func takeHandful() -> [Item] {
        var (count, readings) = (0, 0)
        while count < line.count, count == 0 || readings + line[count].readings <= Self.handful, count < Self.handful {
            readings += line[count].readings
            count += 1
        }
        let items = Array(line[..<count])
        line.removeFirst(count)
        waitingReadings -= readings
        return items
    }

    /// A busy thread shows how its scripts fare too.
    private func noteStatuses() {
        guard knownAt.duration(to: .now) > Self.statusAge else { return }
        knownAt = .now
        let statuses = runtime.statuses
        put { known = statuses }
    }

    private func take(_ item: Item, _ loaded: inout [String: String]) {
        switch item {
        case .batch(let batch, _): take(batch, receivedAt: nil)
        case .leftOver(let batch, _, let instant): if !loaded.isEmpty { take(batch, receivedAt: instant) }
        case .input(let input): runtime.apply(input, at: clock.now())
        case .load(let files, let reason, let position):
            handover?.setScripts(!files.isEmpty, at: position) { self.hasToStop }
            take(files, reason, &loaded)
            settle()
            noteLoaded()
        }
    }

    private func noteLoaded() {
        condition.lock()
        hasLoaded = true
        let due = waiting
        waiting = []
        condition.unlock()
        for continuation in due { continuation.resume() }
    }

    private func take(_ batch: MessageBatch, receivedAt: Instant?) {
        batch.bytes.withUnsafeBytes { bytes in
            for entry in batch.entries {
                let middle = entry.start + entry.topicLength
                runtime.read(
                    topic: UnsafeRawBufferPointer(rebasing: bytes[entry.start..<middle]),
                    payload: UnsafeRawBufferPointer(rebasing: bytes[middle..<middle + entry.payloadLength]),
                    isRetained: entry.flags.contains(.retained), receivedAt: receivedAt, at: clock.now())
            }
        }
    }

    private func take(_ files: [(file: String, text: String)], _ reason: String, _ loaded: inout [String: String]) {
        for file in loaded.keys.sorted() where !files.contains(where: { $0.file == file }) {
            loaded[file] = nil
            runtime.remove(file: file, at: clock.now())
        }
        for (file, text) in files where loaded[file] != text {
            // A file that was not there starts, whenever that is.
            let isNew = loaded[file] == nil
            loaded[file] = text
            runtime.load(file: file, text: text, reason: isNew && reason == "reload" ? "start" : reason, at: clock.now())
        }
        let statuses = runtime.statuses
        // Which alerts a script has that could not be read, nobody knows.
        if !statuses.contains(where: { $0.state == "failed" }) { self.loaded(statuses.map(\.name)) }
    }

    private func settle() {
        let effects = runtime.takeEffectsBehindStates()
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
        if newFaults > 0 {
            let statuses = runtime.statuses
            put {
                faults += newFaults
                known = statuses
            }
        }
        carryOut(effects, isChanged ? runtime.subscriptions : nil)
    }
}

/// Readings go to scripts and to the engine; only the engine's answer counts.
struct ReadingFork: TelemetrySink {
    let host: EngineHost
    let scripts: ScriptHost

    func take(_ batch: MessageBatch) -> BatchOutcome {
        let (outcome, position) = host.takeNumbered(batch)
        // What was refused comes again.
        if case .refused = outcome { return outcome }
        scripts.add(batch, position: position)
        return outcome
    }
    func connected() { host.connected() }
    func backlogEnded() { host.backlogEnded() }
    func disconnected(reason: String) { host.disconnected(reason: reason) }
}
