import Dispatch
import EmbeddedState
import Foundation
import Logging
import RuleEngine
import Synchronization

/// Takes checkpoints while the server runs, piece by piece, so that no reading waits for more than a piece.
final class Checkpoints: Sendable {
    private let host: EngineHost
    private let folder: String
    private let archive: RuleArchive
    private let logger: Logger
    private let queue = DispatchQueue(label: "checkpoints")
    private let taken = Mutex((position: UInt64.max, seconds: 0.0, hasFailed: false))

    /// Subjects copied under one hold of the engine.
    private static let piece = 256
    private static let shortestPause = 5.0
    /// A checkpoint takes at most this part of the time.
    private static let pauseFactor = 20.0
    /// Rules are kept so long after a segment that could refer to them has gone.
    private static let rulesMargin: TimeInterval = 86_400

    init(host: EngineHost, folder: String, archive: RuleArchive, logger: Logger) {
        self.host = host
        self.folder = folder
        self.archive = archive
        self.logger = logger
    }

    /// How long the last one took.
    var seconds: Double { taken.withLock { $0.seconds } }

    /// Until cancelled: one whenever something changed and the last is some while ago.
    func run() async {
        var wait = Self.shortestPause
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(wait))
            guard !Task.isCancelled else { return }
            if host.position != taken.withLock({ $0.position }) { await take() }
            wait = max(Self.shortestPause, seconds * Self.pauseFactor)
        }
    }

    func take() async {
        await withCheckedContinuation { continuation in
            queue.async { [self] in
                takeNow()
                continuation.resume()
            }
        }
    }

    private func takeNow() {
        let start = ContinuousClock.now
        do {
            guard let file = try write() else { return }
            let duration = start.duration(to: .now)
            taken.withLock { $0 = (file.position, Double(duration.inNanoseconds) / 1e9, false) }
            forgetOld(file)
        } catch {
            let isNew = taken.withLock { taken in
                defer { taken.hasFailed = true }
                return !taken.hasFailed
            }
            if isNew { logger.error("no checkpoint can be written, the journal grows until one can: \(error)") }
        }
    }

    /// Nil when other rules came in between; the next one will be whole.
    private func write() throws -> CheckpointFile? {
        let (file, common) = host.beginCheckpoint()
        let writing = try CheckpointWriting(file, in: folder)
        try writing.write(common.head)
        while true {
            guard let piece = host.continueCheckpoint(subjects: Self.piece) else { return nil }
            try writing.write(piece.bytes)
            if piece.isWhole { break }
        }
        // What it rests on has to be there before it is.
        if let journal = host.journal, !journal.wait(for: file.position, atMost: .seconds(60)) { return nil }
        try writing.finish()
        return file
    }

    private func forgetOld(_ file: CheckpointFile) {
        guard let oldest = CheckpointWriting.oldestKept(in: folder) else { return }
        host.journal?.forgetSegments(before: oldest)
        let begin = host.journal?.oldestSegmentAt ?? Date()
        archive.forget(unusedSince: begin.addingTimeInterval(-Self.rulesMargin), except: [file.rules])
        archive.markUsed(file.rules)
    }
}
