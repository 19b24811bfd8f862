import EmbeddedState
import Logging
import RuleEngine

/// Notes how far readings were handed to scripts. Used by the scripts' thread alone.
final class Handover {
    private let mark: HandoverMark
    private let journal: InputJournal
    private let logger: Logger
    private var hasFailed = false
    /// What was dealt with.
    private var done: UInt64
    private var isResting = false

    init(in folder: String, after position: UInt64, journal: InputJournal, logger: Logger) throws(JournalFailure) {
        done = position
        mark = try HandoverMark(in: folder, at: position)
        self.journal = journal
        self.logger = logger
    }

    /// Returns when everything up to a position is in the journal, and the mark behind it; earlier when it is told to stop. What is not safe comes again from the broker, under another position.
    func begin(upTo position: UInt64, isStopped: () -> Bool) {
        while !journal.wait(for: position, atMost: .seconds(1)) { if isStopped() { return } }
        let isWritten = mark.begin(upTo: position)
        if !isWritten, !hasFailed {
            logger.error("how far scripts have come cannot be written: after a crash they may see readings of before it again")
        }
        hasFailed = !isWritten
    }

    func note(_ position: UInt64) { done = position }
    func end() { if !isResting { mark.end() } }
    func close() { mark.close(at: isResting ? .max : done) }

    /// Whether there are scripts; what comes while there are none is nobody's.
    ///
    /// - Parameter position: of the journal when that changed.
    func setScripts(_ areThere: Bool, at position: UInt64, isStopped: () -> Bool) {
        guard areThere == isResting else { return }
        isResting = !areThere
        guard areThere else { return mark.rest() }
        done = position
        begin(upTo: position, isStopped: isStopped)
        mark.end()
    }
}
