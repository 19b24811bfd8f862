import Foundation
import Logging
import ServiceLifecycle

/// Ends the process when stopping takes too long, as it does while a store or a receiver does not answer.
///
/// Nothing is lost by it: what was not stored was not acknowledged either, so that the broker sends it again, and an intent without a recorded
/// delivery goes out at the next start.
struct EndDeadline: Service {
    /// Less than the five seconds within which the server promises to end.
    static let patience = Duration.seconds(4)

    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        Task.detached { [logger] in
            try? await Task.sleep(for: Self.patience)
            logger.warning("not everything could be brought to an end in time; what was under way is taken up again at the next start")
            // Without the handlers of `exit`: threads of ours still use what those would take down.
            _exit(0)
        }
    }
}
