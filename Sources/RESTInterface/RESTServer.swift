import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle

/// The HTTP interface as a service: listens when it runs, ends with the service group.
public struct RESTServer: Service, CustomStringConvertible {
    /// Why there is no HTTP interface.
    public struct ListenFailure: Error, CustomStringConvertible {
        public let description: String
    }

    /// How long requests under way may take when the server is told to end; then their connections are closed.
    public static let shutdownGrace: Duration = .milliseconds(1500)
    /// A connection on which nothing comes and nothing is owed is closed after this time, in seconds.
    static let idleTimeout: Int64 = 75
    /// Connections at once; more wait in the system's queue.
    static let maximumConnections = 512

    let address: HTTPAddress
    let responder: APIResponder
    let logger: Logger
    let onListening: @Sendable (HTTPAddress) async -> Void
    /// `Self.shutdownGrace`; tests shorten or lengthen it.
    var grace = Self.shutdownGrace

    /// - Parameter onListening: called once, with the port that the system chose where `address` has port 0.
    public init(
        address: HTTPAddress, operations: any ServerOperations, logger: Logger,
        onListening: @escaping @Sendable (HTTPAddress) async -> Void = { _ in }
    ) {
        self.address = address
        self.responder = Self.responder(operations, logger)
        self.logger = logger
        self.onListening = onListening
    }

    public var description: String { "HTTP interface at \(address)" }

    static func responder(_ operations: any ServerOperations, _ logger: Logger) -> APIResponder {
        let turns = Turns()
        let routes =
            HealthRoutes(operations: operations).routes + RuleRoutes(operations: operations).routes
            + AutomationRoutes(operations: operations).routes
            + GroupRoutes(operations: operations).routes
            + AlertRoutes(operations: operations).routes + AcknowledgementRoutes(operations: operations).routes
            + SilenceRoutes(operations: operations).routes + DeviceRoutes(operations: operations, turns: turns).routes
            + ProfileRoutes(operations: operations, turns: turns).routes + VariableRoutes(operations: operations).routes
            + ReloadRoute(operations: operations).routes
        return APIResponder(table: RouteTable(routes: routes), logger: logger)
    }

    /// Returns after a graceful shutdown, at most `shutdownGrace` after it was asked for, whatever clients do.
    public func run() async throws {
        let (listening, isListening) = AsyncStream.makeStream(of: Void.self)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await application(isListening).run() }
                group.addTask {
                    // Idle connections are closed at once by Hummingbird; this is for clients that never end a request.
                    try? await gracefulShutdown()
                    try? await Task.sleep(for: grace)
                }
                try await group.next()
                group.cancelAll()
                while !group.isEmpty { try? await group.next() }
            }
            isListening.finish()
        } catch {
            isListening.finish()
            for await _ in listening { throw error }
            let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw ListenFailure(description: "the HTTP interface cannot listen on \(address): \(reason)")
        }
    }

    private func application(_ isListening: AsyncStream<Void>.Continuation) -> some ApplicationProtocol {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return Application(
            responder: responder,
            server: .http1(configuration: .init(idleTimeout: .seconds(Self.idleTimeout))),
            configuration: .init(
                address: .hostname(address.host, port: address.port), backlog: 512,
                availableConnectionsDelegate: MaximumAvailableConnections(Self.maximumConnections)),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? address.port
                isListening.yield()
                let bound = HTTPAddress(self.address, port: port)
                logger.info("HTTP interface listens", metadata: ["address": "\(bound)"])
                await onListening(bound)
            },
            logger: quiet)
    }
}
