import Foundation
import Testing

/// A value that cannot be used ends `serve` in one way, whichever key has it: with status 2 and the key.
@Suite struct ServerSettingTests {
    private static let malformed: [(key: String, value: String, others: [String: String])] = [
        ("mongodb.uri", "nonsense", [:]), ("mongodb.uri", "mongodb://", [:]), ("mongodb.uri", "mongodb://h:99999", [:]),
        ("mongodb.uri", "mongodb://h/?replicaSet", [:]), ("mongodb.uri", "mongodb://u:p%zz@h", [:]),
        ("amqp.url", "nonsense", [:]), ("amqp.url", "amqp://h:99999", [:]),
        ("amqp.prefix", "a b", ["NODESPHERE_AMQP_URL": "amqp://localhost"]),
        ("amqp.ca_file", "not-there.pem", ["NODESPHERE_AMQP_URL": "amqps://localhost"]),
        ("mqtt.url", "nonsense", [:]), ("mqtt.url", "mqtt://h:99999", [:]), ("mqtt.version", "4", [:]), ("mqtt.share_group", "a/b", [:]),
        ("mqtt.ca_file", "not-there.pem", ["NODESPHERE_MQTT_URL": "mqtts://localhost"]),
        ("influxdb.url", "nonsense", ["NODESPHERE_INFLUXDB_DATABASE": "d"]),
        ("influxdb.url", "http://h:99999", ["NODESPHERE_INFLUXDB_DATABASE": "d"]),
        ("influxdb.url", "http://:8086", ["NODESPHERE_INFLUXDB_DATABASE": "d"]),
        (
            "influxdb.ca_file", "not-there.pem",
            ["NODESPHERE_INFLUXDB_DATABASE": "d", "NODESPHERE_INFLUXDB_URL": "https://localhost"]
        ),
        ("http.listen", "nonsense", [:]), ("http.listen", "127.0.0.1:99999", [:]), ("http.listen", "0.0.0.0:80", [:]),
        ("external_url", "nonsense", [:]), ("log.level", "loud", [:]), ("log.format", "xml", [:]), ("time_zone", "Mars/Olympus", [:]),
        ("alerts.keep_resolved", "5", [:]), ("journal.max_size", "much", [:]), ("instances.max", "0", [:]), ("rules.watch", "maybe", [:]),
    ]

    @Test(arguments: malformed)
    func `a malformed value ends serve with status 2, and its key is named`(key: String, value: String, others: [String: String])
        async throws
    {
        let folder = try TestFolder()
        let variable = "NODESPHERE_" + key.uppercased().replacingOccurrences(of: ".", with: "_")
        var environment = others.merging(["NODESPHERE_HTTP_LISTEN": "127.0.0.1:0"]) { one, _ in one }
        environment[variable] = value
        let result = try await Binary.run(["serve"], in: folder, environment: environment)
        #expect(result.status == 2, "\(result.errors)")
        let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
        #expect(lines.count == 1 && lines.allSatisfy { $0.contains(key) && !$0.contains("p%zz") }, "\(result.errors)")
    }

    @Test func `a data folder that cannot be used is told by its key`() async throws {
        let folder = try TestFolder()
        folder.write("file", "")
        for more in [[:], ["NODESPHERE_MQTT_CLIENT_ID": "me"]] {
            let result = try await Binary.run(
                ["serve", "--data", "file/data", "--http", "127.0.0.1:0"], in: folder, environment: more)
            #expect(result.status == 1, "\(result.errors)")
            #expect(
                result.errors.contains("error: 'data.path': the folder 'file/data' cannot be used: Not a directory"), "\(result.errors)")
        }
    }

    @Test func `a file of notifications that is named and not there is warned of`() async throws {
        let folder = try TestFolder()
        folder.write("nodesphere.yaml", "notifications: {file: notfications.yaml}\n")
        let result = try await Binary.run(["config", "print"], in: folder)
        #expect(result.status == 0)
        #expect(result.errors.contains("'notfications.yaml' is not there, so all notifications go to the log"), "\(result.errors)")
    }
}
