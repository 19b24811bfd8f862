import Foundation
import LuaScripting
import RuleEngine
import Testing

/// `docs/lua.md` and what is shipped: examples do what they say.
@Suite struct LuaManualTests {
    private static let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardized

    private static func file(_ path: String) throws -> String { try String(contentsOf: root.appending(path: path), encoding: .utf8) }

    @Test func `every example of the manual gives what its comments expect`() throws {
        let blocks = try Self.file("docs/lua.md").split(separator: "```lua\n").dropFirst().compactMap { $0.split(separator: "```").first }
        #expect(blocks.count >= 5)
        for block in blocks {
            let lines = block.split(separator: "\n")
            func marked(_ mark: String) -> [String] { lines.filter { $0.hasPrefix(mark) }.map { String($0.dropFirst(mark.count)) } }
            let expected = marked("-- expect: ")
            #expect(!expected.isEmpty)
            let stage = Stage(String(block))
            for (number, reading) in marked("-- reading: ").enumerated() {
                let space = try #require(reading.firstIndex(of: " "))
                stage.reading(String(reading[..<space]), String(reading[reading.index(after: space)...]), at: Int64(number))
            }
            for action in marked("-- action: ") {
                let space = try #require(action.firstIndex(of: " "))
                let arguments = try Document(json: Array(action[space...].utf8))
                stage.act("fan", String(action[..<space]), "a", arguments, at: 0)
            }
            stage.pass(to: 3600)
            #expect(stage.published == expected)
        }
    }

    @Test func `the shipped vent opens on a warm night only, and closes`() throws {
        let text = try Self.file("rules/automations/night-vent.lua")
        let stage = Stage(text)
        stage.reading("greenhouses/n/b1/temperature", "27", at: 12 * 3600)
        stage.reading("greenhouses/n/b1/temperature", "20", at: 23 * 3600)
        stage.reading("greenhouses/n/b1/humidity", "27", at: 23 * 3600 + 1)
        stage.reading("greenhouses/n/b1/temperature", "27", at: 23 * 3600 + 2)
        stage.end(at: 24 * 3600)
        #expect(stage.published == ["82802 greenhouses/n/b1/vent/set OPEN", "83402 greenhouses/n/b1/vent/set CLOSE"])
        #expect(stage.rehearsal.runtime.state(of: "night-vent") == ["openings": 1])
    }

    @Test func `the editor's stub names every function that scripts find`() throws {
        let stub = try Self.file("docs/nodesphere.lua")
        let manual = try Self.file("docs/lua.md")
        let stage = Stage(
            """
            local names = {}
            for k, v in pairs(_G) do
              if type(v) == "table" and k ~= "_G" and not ({ coroutine = 1, math = 1, string = 1, table = 1, utf8 = 1, os = 1, state = 1 })[k] then
                for name in pairs(v) do names[#names + 1] = k .. "." .. name end
              end
            end
            automation {}:on_start(function() log.info(table.concat(names, " ")) end)
            """)
        let names = try #require(stage.lines.first).split(separator: " ").dropFirst(2).map(String.init)
        #expect(names.count > 20)
        let absent = ["influx", "http", "alerts.acknowledge", "alerts.silence", "alerts.raise", "alerts.resolve"]
        for name in names where !absent.contains(where: { name.hasPrefix($0) }) {
            #expect(stub.contains("function \(name)(") || name == "json.null", "\(name)")
            #expect(manual.contains(name), "\(name)")
        }
    }
}
