-- Customers order pictures, one after the other.
dofile("common.lua")

function init(args)
   math.randomseed(tonumber(args[3]) + number)
   credential = credentials(args[1], number, tonumber(args[2]))[1]
   order = '{"kind":"image","model":"testcard","prompt":"a red fox sitting in fresh snow at dawn, volumetric light, 85mm","width":512,"height":512,"steps":28}'
end

function request()
   if began == math.huge then began = now() end
   return post("/api/v1/jobs", credential, order)
end

function response(status, headers, body)
   if status == 201 then count() else complain(status, body) end
end
