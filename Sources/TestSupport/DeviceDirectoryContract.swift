public import RuleEngine
internal import Synchronization

/// A directory of its own, empty.
public struct DeviceDirectoryBench: Sendable {
    /// The directory. A second call stands for a restart: whoever was opened before has been let go of.
    public var open: @Sendable () async throws -> any DeviceDirectory
    /// After how long a change that has not come is missing.
    public var patience: Duration

    public init(patience: Duration = .seconds(60), open: @escaping @Sendable () async throws -> any DeviceDirectory) {
        self.open = open
        self.patience = patience
    }
}

/// One sentence of the contract of `DeviceDirectory` and how it is shown. It wants a bench of its own.
public struct DeviceDirectoryClause: Sendable, CustomStringConvertible {
    public var description: String
    public var check: @Sendable (DeviceDirectoryBench) async throws -> Void
}

/// The contract of `DeviceDirectory`, for the tests of each adapter.
public enum DeviceDirectoryContract {
    public static let clauses: [DeviceDirectoryClause] = [
        DeviceDirectoryClause(description: "what was put is in the snapshot as it was") { bench in
            let directory = try await bench.open()
            for device in devices { try await directory.put(device) }
            for profile in profiles { try await directory.put(profile) }
            try await expectContent(directory, devices, profiles)
        },
        DeviceDirectoryClause(description: "a put replaces the whole record") { bench in
            let directory = try await bench.open()
            let last = DeviceRecord(id: "d", config: ["only": 2])
            try await directory.put(DeviceRecord(id: "d", profile: "p", config: ["a": 1], labels: ["l": "1"], location: ["latitude": 1.5]))
            try await directory.put(last)
            try await directory.put(ProfileRecord(name: "p", config: ["a": 1]))
            try await directory.put(ProfileRecord(name: "p", config: ["b": 2]))
            try await expectContent(directory, [last], [ProfileRecord(name: "p", config: ["b": 2])])
        },
        DeviceDirectoryClause(description: "what was removed is gone, and may be removed again and come back") { bench in
            let directory = try await bench.open()
            try await directory.put(DeviceRecord(id: "d"))
            try await directory.put(ProfileRecord(name: "d", config: ["a": 1]))
            for _ in 0..<2 { try await directory.removeDevice(id: "d") }
            try await expectContent(directory, [], [ProfileRecord(name: "d", config: ["a": 1])])
            for _ in 0..<2 { try await directory.removeProfile(name: "d") }
            try await directory.removeProfile(name: "never there")
            try await expectContent(directory, [], [])
            try await directory.put(DeviceRecord(id: "d", config: ["a": 2]))
            try await expectContent(directory, [DeviceRecord(id: "d", config: ["a": 2])], [])
        },
        DeviceDirectoryClause(description: "a configuration that is no object is refused") { bench in
            let directory = try await bench.open()
            try await expectRefusal { try await directory.put(DeviceRecord(id: "d", config: [1])) }
            try await expectRefusal { try await directory.put(ProfileRecord(name: "p", config: "text")) }
            try await expectContent(directory, [], [])
        },
        DeviceDirectoryClause(description: "the directory is there after a restart") { bench in
            let first = try await bench.open()
            for device in devices { try await first.put(device) }
            try await first.removeDevice(id: "plain")
            try await expectContent(try await bench.open(), devices.filter { $0.id != "plain" }, [])
        },
        DeviceDirectoryClause(description: "every change comes, in the order of each document") { bench in
            let directory = try await bench.open()
            let log = ChangeLog(directory.changes())
            let device = DeviceRecord(id: "d", profile: "p", config: ["n": 1], labels: ["site": "north"])
            try await directory.put(device)
            try await log.await(.device(id: "d", device), within: bench.patience)
            var changed = device
            changed.config = ["n": 2]
            try await directory.put(changed)
            try await log.await(.device(id: "d", changed), within: bench.patience)
            try await directory.removeDevice(id: "d")
            try await log.await(.device(id: "d", nil), within: bench.patience)
            let profile = ProfileRecord(name: "d", config: ["p": true])
            try await directory.put(profile)
            try await log.await(.profile(name: "d", profile), within: bench.patience)
            try await directory.removeProfile(name: "d")
            try await log.await(.profile(name: "d", nil), within: bench.patience)
        },
        DeviceDirectoryClause(description: "changes collect from the call on, not from the first reading") { bench in
            let directory = try await bench.open()
            try await directory.put(DeviceRecord(id: "before"))
            _ = try await directory.snapshot()
            let stream = directory.changes()
            for n in 0..<20 { try await directory.put(DeviceRecord(id: "d", config: ["n": .int(Int64(n))])) }
            let log = ChangeLog(stream)
            try await log.await(.device(id: "d", DeviceRecord(id: "d", config: ["n": 19])), within: bench.patience)
        },
        DeviceDirectoryClause(description: "every stream gets every change") { bench in
            let directory = try await bench.open()
            let logs = (0..<3).map { _ in ChangeLog(directory.changes()) }
            try await directory.put(DeviceRecord(id: "d"))
            for log in logs { try await log.await(.device(id: "d", DeviceRecord(id: "d")), within: bench.patience) }
        },
        DeviceDirectoryClause(description: "a stream ends when its task is cancelled") { bench in
            let directory = try await bench.open()
            let reading = Task { for await _ in directory.changes() {} }
            reading.cancel()
            await reading.value
        },
    ]

    static let devices: [DeviceRecord] = [
        DeviceRecord(
            id: "full", profile: "boiler", config: ["max": 80, "nested": ["list": [1, 2.5, "x", .null, true]]],
            labels: ["site": "north", "größe": "ü", "": "empty"], location: ["latitude": 59.91, "longitude": 10.75]),
        DeviceRecord(id: "plain"),
        DeviceRecord(id: "z/ü 😀.$x", config: ["since": .instant(Instant(milliseconds: 1_790_000_000_123)), "big": .int(.max)]),
    ]
    static let profiles = [ProfileRecord(name: "boiler", config: ["max": 75]), ProfileRecord(name: "empty", config: .emptyObject)]
}

private func expectContent(_ directory: any DeviceDirectory, _ devices: [DeviceRecord], _ profiles: [ProfileRecord]) async throws {
    let found = try await directory.snapshot()
    try expect(found.devices == devices, "devices: \(found.devices), not \(devices)")
    try expect(found.profiles == profiles, "profiles: \(found.profiles), not \(profiles)")
}

/// Reads a directory's stream and keeps what came.
public final class ChangeLog: Sendable {
    private struct Waiter {
        var change: DirectoryChange
        var continuation: CheckedContinuation<Bool, Never>
    }
    private struct State {
        var seen: [DirectoryChange] = []
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0
    }
    private let state = Mutex(State())
    private let reading = Mutex<Task<Void, Never>?>(nil)

    public init(_ stream: AsyncStream<[DirectoryChange]>) {
        let task = Task { [weak self] in
            for await changes in stream { self?.add(changes) }
        }
        reading.withLock { $0 = task }
    }

    deinit { reading.withLock { $0 }?.cancel() }

    public var seen: [DirectoryChange] { state.withLock { $0.seen } }

    /// Returns when the change has come, throws when it does not.
    public func await(_ change: DirectoryChange, within patience: Duration) async throws {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let deadline = Task {
            try await Task.sleep(for: patience)
            state.withLock { $0.waiters.removeValue(forKey: number) }?.continuation.resume(returning: false)
        }
        defer { deadline.cancel() }
        let came = await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.seen.contains(change) { return true }
                state.waiters[number] = Waiter(change: change, continuation: continuation)
                return false
            }
            if isThere { continuation.resume(returning: true) }
        }
        guard came else { throw ContractViolation("\(change) did not come in \(patience), but \(seen)") }
    }

    private func add(_ changes: [DirectoryChange]) {
        let served = state.withLock { state in
            state.seen += changes
            let served = state.waiters.filter { changes.contains($0.value.change) }
            for number in served.keys { state.waiters[number] = nil }
            return served.values.map(\.continuation)
        }
        for continuation in served { continuation.resume(returning: true) }
    }
}
