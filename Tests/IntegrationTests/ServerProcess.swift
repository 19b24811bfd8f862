import Foundation
import Glibc
import Synchronization
import Testing

/// A child process with an empty signal mask: threads of the pool block signals, children inherit that, and SIGTERM would never arrive. Nor does it have
/// files of ours: a connection of another test would stay open in it after that test has closed it, a port that was listened on would stay taken. Its output
/// goes where ours goes unless a file is named.
struct Child: Sendable {
    let id: pid_t

    init(
        _ program: String, _ arguments: [String], folder: String, environment: [String: String], output: String? = nil,
        errors: String? = nil, input: String? = nil
    ) throws {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input ?? "/dev/null", O_RDONLY, 0)
        for (descriptor, path) in [(Int32(1), output), (2, errors)] {
            if let path { posix_spawn_file_actions_addopen(&actions, descriptor, path, O_WRONLY | O_CREAT | O_APPEND, 0o600) }
        }
        Self.keepOpenFiles()
        // `env` changes the folder and becomes the program.
        var words = (["/usr/bin/env", "-C", folder, program] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, "/usr/bin/env", &actions, &attributes, &words, &variables)
        guard code == 0 else { throw WireFailure(description: "\(program): \(String(cString: strerror(code)))") }
        id = child
    }

    /// What is open here is not open in children.
    private static func keepOpenFiles() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
            guard let descriptor = Int32(name), descriptor > 2 else { continue }
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }

    /// The exit status, 128 and the signal for one that a signal ended, nil when it has not ended within the time.
    func ended(within limit: Duration = patience) async -> Int32? {
        let start = ContinuousClock.now
        return await ended { start.duration(to: .now) > limit }
    }

    /// The same for a promise. The time does not count in which a thread of the process could have run and the machine had no processor for it: what is
    /// promised cannot depend on what else runs there.
    func ended(asPromisedWithin limit: Duration) async -> Int32? {
        let start = ContinuousClock.now
        var shortage = ProcessorShortage(of: id)
        return await ended { start.duration(to: .now) - shortage.measure() > limit }
    }

    private func ended(unless isOver: () -> Bool) async -> Int32? {
        var status: Int32 = 0
        while waitpid(id, &status, WNOHANG) == 0 {
            if isOver() { return nil }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
}

/// For how long the threads of a process were ready to run and had no processor, all together, since this was made.
struct ProcessorShortage {
    private let tasks: String
    private var before: [String: UInt64] = [:]
    /// Threads that have ended stay in it.
    private var now: [String: UInt64] = [:]

    init(of process: pid_t) {
        tasks = "/proc/\(process)/task"
        before = read()
    }

    mutating func measure() -> Duration {
        now.merge(read()) { $1 }
        return .nanoseconds(now.reduce(0) { $0 + Int64(clamping: $1.value - min($1.value, before[$1.key] ?? 0)) })
    }

    /// By thread: `schedstat` has the nanoseconds on a processor, those of waiting for one, and a count.
    private func read() -> [String: UInt64] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return Dictionary(
            uniqueKeysWithValues: threads.compactMap { thread in
                let text = FileManager.default.contents(atPath: "\(tasks)/\(thread)/schedstat").map { String(decoding: $0, as: UTF8.self) }
                return text?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { (thread, $0) }
            })
    }
}

/// The built program, beside the bundle of these tests.
enum Binary {
    static func path() throws -> String {
        if let given = ProcessInfo.processInfo.environment["NODESPHERE_TEST_BINARY"] { return given }
        let me = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let places = [me] + CommandLine.arguments.filter { $0.contains(".xctest") }
        let found = places.map { URL(fileURLWithPath: $0).deletingLastPathComponent().appending(path: "nodesphere").path }
            .first(where: FileManager.default.isExecutableFile)
        return try #require(found, "nodesphere is not built beside the tests")
    }

    struct Result {
        var process: pid_t
        var status: Int32?
        var output: String
        var errors: String
    }

    /// Runs a command to its end.
    static func run(_ arguments: [String], in folder: TestFolder, input: String? = nil, environment: [String: String] = [:]) async throws
        -> Result
    {
        let name = uniqueName("run")
        if let input { folder.write("\(name).in", input) }
        let paths = ["out", "err"].map { folder.path("\(name).\($0)") }
        let child = try Child(
            path(), arguments, folder: folder.path, environment: ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"].merging(environment) { $1 },
            output: paths[0], errors: paths[1], input: input.map { _ in folder.path("\(name).in") })
        let status = await child.ended()
        if status == nil {
            kill(child.id, SIGKILL)
            _ = await child.ended()
        }
        func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
        return Result(process: child.id, status: status, output: try text(paths[0]), errors: try text(paths[1]))
    }
}

/// A folder that goes with its value.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: uniqueName("nodesphere-test")).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { "\(path)/\(name)" }

    /// Atomically, as an editor does.
    func write(_ name: String, _ text: String) {
        do {
            let url = URL(fileURLWithPath: path(name))
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: url, atomically: true, encoding: .utf8)
        } catch { Issue.record(error) }
    }

    func text(_ name: String) -> String {
        FileManager.default.contents(atPath: path(name)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}

/// Asks until the answer is something; nil when it was nothing for all of `patience`.
func eventually<Answer>(_ answer: () async throws -> Answer?) async rethrows -> Answer? {
    let start = ContinuousClock.now
    while true {
        if let found = try await answer() { return found }
        if start.duration(to: .now) > patience { return nil }
        try? await Task.sleep(for: .milliseconds(10))
    }
}

func eventually(_ isSo: () async throws -> Bool) async rethrows -> Bool {
    try await eventually { try await isSo() ? true : nil } ?? false
}
