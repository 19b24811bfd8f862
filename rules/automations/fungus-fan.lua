-- Dries a bench on which fungus would grow: the fan blows and rests by turns, until the alert is over or it has blown often enough.
local fan = automation { name = "fungus-fan", description = "dries benches with too much humidity" }

local drying = {}

local function set(alert, value)
  mqtt.publish("greenhouses/" .. alert.labels.house .. "/" .. alert.labels.device .. "/fan/set", value, { qos = 1 })
end

fan:action("dry", function(alert, arguments)
  drying[alert.id] = true
  for _ = 1, arguments.times do
    set(alert, "on")
    sleep(arguments.blow)
    if not drying[alert.id] then return end
    set(alert, "off")
    sleep(arguments.rest)
    if not drying[alert.id] then return end
  end
end)

fan:action("stop", function(alert)
  drying[alert.id] = nil
  set(alert, "off")
end)
