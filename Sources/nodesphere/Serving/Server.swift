import AMQPNotifications
import EmbeddedState
import Foundation
import InfluxWindows
import Logging
import MQTTTelemetry
import MongoState
import NotificationChannels
import OutgoingHTTP
import RESTInterface
import RuleEngine
import RuleLanguage
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Why the server cannot start; the text says what to do.
struct StartFailure: Error, CustomStringConvertible {
    var description: String
    var status: Int32
}

/// The whole server, wired top to bottom.
struct Server {
    let configuration: ServerConfiguration
    let logger: Logger
    let isRepairing: Bool

    /// What everything stands on; closed last.
    private struct Foundations: Sendable {
        var store: any StateStore
        var directory: any DeviceDirectory
        var scheduler: any NotificationScheduler
        var embedded: EmbeddedDatabase?
        /// Of the data folder, where no database holds it.
        var lock: FolderLock?
    }

    func run() async throws {
        for warning in configuration.warnings { logger.warning("\(warning)") }
        let address = try address()
        let mqtt = try mqttConfiguration()
        // What can be wrong with values is looked at before anything has threads: a process should not end while libraries are being started on them.
        let influx = try influxConfiguration()
        let dataPath = configuration.text("data.path")
        let clock = EngineClock()
        let foundations = try foundations(dataPath, clock: clock)
        let http = HTTPClient()
        let publisher = MQTTMessagePublisher(mqtt, logger: logger)
        let plugins = try plugins(http: http, publisher: publisher)
        let reader = RuleReader(
            rulesPath: configuration.text("rules.path"), notificationsPath: configuration.text("notifications.file"),
            surroundings: configuration.surroundings, plugins: plugins)
        let history = influx.map { InfluxWindowHistory($0) }
        let recorder = try recorder(influx, dataPath)
        let state = ServerState(
            store: foundations.store, directory: foundations.directory, scheduler: foundations.scheduler, history: history,
            recorder: recorder, clock: clock)
        let rest = RESTServer(address: address, operations: state, logger: logger) { [logger] bound in
            logger.notice("HTTP interface at http://\(bound)")
        }
        // Only RabbitMQ has an exchange for them.
        let events = (foundations.scheduler as? AMQPScheduler).map { EventFeed(scheduler: $0, source: PipelineSettings().source) }
        let core = ServerCore(
            configuration: configuration, logger: logger, reader: reader, mqtt: mqtt, http: http, publisher: publisher, dataPath: dataPath,
            store: foundations.store, directory: foundations.directory, scheduler: foundations.scheduler, history: history,
            influx: influx.map { InfluxAccess($0) }, recorder: recorder, events: events,
            state: state, clock: clock, isRepairing: isRepairing)
        // Services are stopped in reverse order: the core first, then HTTP, so that health can be asked to the end.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: rest, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup),
                    .init(
                        service: core, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup),
                    .init(service: EndDeadline(logger: logger), successTerminationBehavior: .ignore),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: Self.quiet(logger)))
        defer { logger.notice("stopped") }
        do {
            try await group.run()
        } catch {
            await foundations.embedded?.close()
            throw error
        }
        await foundations.embedded?.close()
    }

    /// Errors only: the service group's own talk is of no use to an operator, and that the store is away is told by the core.
    private static func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = .error
        return quiet
    }

    private func address() throws(StartFailure) -> HTTPAddress {
        do { return try HTTPAddress(configuration.text("http.listen")) } catch {
            throw StartFailure(description: "'http.listen': \(error.description)", status: 2)
        }
    }

    private func mqttConfiguration() throws(StartFailure) -> MQTTConfiguration {
        let clientID = try clientID()
        do {
            return try MQTTConfiguration(
                url: configuration.text("mqtt.url"), username: configuration["mqtt.username"], password: configuration["mqtt.password"],
                clientID: clientID, version: configuration.text("mqtt.version"), caFile: configuration["mqtt.ca_file"],
                certFile: configuration["mqtt.cert_file"], keyFile: configuration["mqtt.key_file"],
                shareGroup: configuration["mqtt.share_group"])
        } catch {
            throw StartFailure(description: error.description, status: 2)
        }
    }

    /// Nil when no InfluxDB is configured.
    private func influxConfiguration() throws(StartFailure) -> InfluxConfiguration? {
        guard let url = configuration["influxdb.url"] else { return nil }
        do {
            return try InfluxConfiguration(
                url: url, database: configuration["influxdb.database"], username: configuration["influxdb.username"],
                password: configuration["influxdb.password"], token: configuration["influxdb.token"],
                caFile: configuration["influxdb.ca_file"],
                timeout: configuration.duration("influxdb.timeout"))
        } catch {
            throw StartFailure(description: error.description, status: 2)
        }
    }

    /// Nil when no readings are recorded.
    private func recorder(_ influx: InfluxConfiguration?, _ dataPath: String) throws(StartFailure) -> TelemetryRecorder? {
        let path = dataPath + "/recorder"
        guard let settings = configuration.recorder, let influx else {
            TelemetryRecorder.forgetPosition(path: path)
            return nil
        }
        do { return try TelemetryRecorder(settings, influx: influx, path: path, logger: logger) } catch {
            throw StartFailure(description: "the recorder cannot keep readings: \(error)", status: 1)
        }
    }

    private func plugins(http: HTTPClient, publisher: MQTTMessagePublisher) throws(StartFailure) -> InstalledPlugins {
        let plugins = InstalledPlugins.load(configuration, http: HTTPRequests(http), publisher: publisher, logger: logger)
        for warning in plugins.diagnostics where warning.severity == .warning {
            logger.warning("\(warning.location.file):\(warning.location.line): \(warning.message)")
        }
        guard !plugins.diagnostics.hasErrors else {
            throw StartFailure(description: "the plugins have mistakes\n\(plugins.text)", status: 1)
        }
        return plugins
    }

    /// Stable for an installation: configured, or made once and kept in the data folder.
    private func clientID() throws(StartFailure) -> String {
        if let configured = configuration["mqtt.client_id"] { return configured }
        let folder = configuration.text("data.path"), path = folder + "/mqtt-client-id"
        if let kept = FileManager.default.contents(atPath: path) {
            return String(decoding: kept, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let made = "nodesphere-" + UUID().uuidString.prefix(8).lowercased()
            try Data(made.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
            return made
        } catch { throw unusable(folder, error) }
    }

    private func unusable(_ folder: String, _ error: any Error) -> StartFailure {
        let system = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError }
        let isOfSystem = system?.domain == NSPOSIXErrorDomain
        let reason = isOfSystem ? String(cString: strerror(Int32(system?.code ?? 0))) : error.localizedDescription
        return StartFailure(description: "'data.path': the folder '\(folder)' cannot be used: \(reason)", status: 1)
    }

    private func scheduler(_ database: EmbeddedDatabase?, now: @escaping @Sendable () -> Instant) throws -> any NotificationScheduler {
        if let url = configuration["amqp.url"] {
            let amqp = try AMQPConfiguration(url: url, prefix: configuration.text("amqp.prefix"), caFile: configuration["amqp.ca_file"])
            return AMQPScheduler(amqp, logger: logger, now: now)
        }
        guard let database else { throw StartFailure(description: "no scheduler", status: 2) }
        return EmbeddedScheduler(database, now: now, atOnce: 64, logger: logger)
    }

    private func foundations(_ dataPath: String, clock: EngineClock) throws(StartFailure) -> Foundations {
        do {
            let needsDatabase = configuration["mongodb.uri"] == nil || configuration["amqp.url"] == nil
            try FileManager.default.createDirectory(atPath: dataPath, withIntermediateDirectories: true)
            let database = needsDatabase ? try EmbeddedDatabase(folder: dataPath) : nil
            let lock = needsDatabase ? nil : try FolderLock(folder: dataPath)
            let now: @Sendable () -> Instant = { clock.now() }
            let scheduler = try scheduler(database, now: now)
            if let uri = configuration["mongodb.uri"] {
                let connection = try mongo(uri)
                return Foundations(
                    store: MongoStateStore(connection), directory: MongoDeviceDirectory(connection, logger: Self.quiet(logger)),
                    scheduler: scheduler, embedded: database, lock: lock)
            }
            guard let database else { throw StartFailure(description: "no state store", status: 2) }
            return Foundations(
                store: EmbeddedStateStore(database), directory: EmbeddedDeviceDirectory(database, logger: logger), scheduler: scheduler,
                embedded: database)
        } catch let failure as StartFailure {
            throw failure
        } catch let failure as StoreFailure {
            throw StartFailure(description: failure.description, status: 1)
        } catch let mistake as AMQPConfigurationMistake {
            throw StartFailure(description: mistake.description, status: 2)
        } catch {
            throw unusable(dataPath, error)
        }
    }

    /// Nothing is asked of the server yet: what is wrong is the URI.
    private func mongo(_ uri: String) throws(StartFailure) -> MongoConnection {
        do { return try MongoConnection(MongoConfiguration(uri: uri)) } catch {
            throw StartFailure(description: error.description, status: 2)
        }
    }
}
