import Foundation
import Glibc

/// A program started by a benchmark. Belongs to one thread.
public final class ChildProcess {
    private let process = Process()
    private let output = Pipe()
    private var buffered: [UInt8] = []

    /// `environment` takes the place of this process's own; `errorFile` takes what it says on standard error.
    public init(_ program: String, _ arguments: [String], environment: [String: String]? = nil, errorFile: String? = nil) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        if let environment { process.environment = environment }
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        if let errorFile {
            _ = FileManager.default.createFile(atPath: errorFile, contents: nil)
            process.standardError = FileHandle(forWritingAtPath: errorFile)
        }
        do { try process.run() } catch { throw BenchmarkFailure("\(program) cannot be started: \(error.localizedDescription)") }
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    public var id: Int32 { process.processIdentifier }
    public var isRunning: Bool { process.isRunning }

    /// The next line that it prints; nil at the end.
    public func readLine() -> String? {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            if let end = buffered.firstIndex(of: 10) {
                defer { buffered.removeSubrange(...end) }
                return String(decoding: buffered[..<end], as: UTF8.self)
            }
            let count = read(output.fileHandleForReading.fileDescriptor, &chunk, chunk.count)
            guard count > 0 else { return nil }
            buffered += chunk[..<count]
        }
    }

    /// The figures of the JSON object on its next line.
    public func readFigures() throws -> [String: Double] {
        guard let line = readLine(), let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
            throw BenchmarkFailure("\(process.executableURL?.lastPathComponent ?? "a program") ended without a result")
        }
        return object.compactMapValues { ($0 as? NSNumber)?.doubleValue }
    }

    /// SIGTERM, after ten seconds SIGKILL; waits for the end.
    public func stop() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGTERM)
        let deadline = monotonicSeconds() + 10
        while process.isRunning, monotonicSeconds() < deadline { sleepSeconds(0.02) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}
